"""A folder of image files."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from leakboard import assets, listings
from leakboard.errors import UserError
from leakboard.pictures import SUFFIXES, Pictures

TABLES = ("labels.csv", "captions.csv")


@dataclass(frozen=True)
class Dataset:
    """Image files in a folder and its subfolders, sorted by path; a subfolder's name is the label.

    PNG, JPEG, WebP, BMP, TIFF and GIF, found by their endings; other files are not read, and the
    log says which. `labels.csv` (file,label) in the folder replaces the subfolders' labels: whole
    numbers as they are, other words numbered in sorted order. `captions.csv` (file,caption) goes
    into subset/names.csv. Both must name every file once, by its path in the folder.
    Gray, palette and CMYK pictures become RGB (with `grayscale`, colors become gray). What is
    transparent lies on white. 16 bits become 8. A picture is turned as its EXIF orientation says.
    Refused, by name: a file that cannot be decoded, one of several frames, one of more than 67
    million pixels, 32-bit and float pixels, and another size than the first one's, unless the track
    says a `size` (and a `crop`, where the pictures are not square). Exact copies, and with
    `near_duplicate` near ones, are dropped by the subset, which says how many.
    """

    path: str  # the folder
    grayscale: bool = False  # one channel instead of three

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[Pictures, NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Pictures, decoded when asked for, labels (n,), and the file of each, and its caption."""
        root = assets.verified(self.path)
        there = sorted(f for f in root.rglob("*") if f.is_file())
        files = [f for f in there if f.suffix.lower() in SUFFIXES]
        if not files:
            raise UserError(f"dataset.params.path: no images in '{root}'")
        kinds = Counter(
            f.suffix.lower() or f.name for f in there if f.suffix.lower() not in SUFFIXES
        )
        kinds[".csv"] -= sum((root / table).is_file() for table in TABLES)
        for kind, count in sorted((+kinds).items()):
            print(f"{root}: {count:,} files not read: {kind}")
        names = [f.relative_to(root).as_posix() for f in files]
        if (root / "labels.csv").is_file():
            labels = listings.classes(listings.column(root / "labels.csv", "label", names))
        else:
            folders = {f: k for k, f in enumerate(sorted({f.parent for f in files}))}
            labels = np.array([folders[f.parent] for f in files], dtype=np.int64)
        columns = {"file": np.array(names, object)}
        if (root / "captions.csv").is_file():
            said = listings.column(root / "captions.csv", "caption", names)
            columns["caption"] = np.array(said, object)
        return Pictures([str(f) for f in files], files.__getitem__, self.grayscale), labels, columns
