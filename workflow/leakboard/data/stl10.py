"""STL-10 from its binary files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from leakboard import assets
from leakboard.errors import UserError

PARTS = ("unlabeled", "train", "test")
SHAPE = (3, 96, 96)
PIXELS = 3 * 96 * 96


@dataclass(frozen=True)
class Dataset:
    """113,000 photographs of 96x96 in 10 classes (Coates 2011), 100,000 of them without labels.

    `path` is the folder stl10_binary, unpacked from stl10_binary.tar.gz. Images are numbered 0..
    in their part, as published splits number the unlabeled ones; with `part: all` the 5,000 of
    train and the 8,000 of test come after the unlabeled ones. Labels are 0..9, and all 0 where
    there are unlabeled images. Usual are `size: 32`, or 64, in `dataset`.
    """

    path: str  # the folder stl10_binary
    part: Literal["unlabeled", "train", "test", "all"] = "unlabeled"

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[Any, NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Images (n, 96, 96, 3) uint8, read from the files as needed, labels and numbers (n,)."""
        root = assets.verified(self.path)
        parts = [part for part in PARTS if self.part in (part, "all")]
        images = [_images(root / f"{part}_X.bin") for part in parts]
        labels = [
            np.zeros(len(images[k]), np.int64)
            if "unlabeled" in parts
            else _labels(root / f"{part}_y.bin", len(images[k]))
            for k, part in enumerate(parts)
        ]
        # views of each image, where the files are several: nothing is read yet
        whole = images[0] if len(images) == 1 else [image for part in images for image in part]
        return whole, np.concatenate(labels), {"number": np.arange(len(whole))}


def _images(file: Path) -> NDArray[np.uint8]:
    """(n, 96, 96, 3), in a file as planes of columns; mapped into memory, not read."""
    size = file.stat().st_size if file.is_file() else 0
    if not size or size % PIXELS:
        raise UserError(
            f"dataset.params.path: {file}: expected whole images of {PIXELS:,} bytes, found "
            f"{size:,} bytes; name the folder stl10_binary as published"
        )
    mapped = np.asarray(np.memmap(file, np.uint8, "r"))
    return mapped.reshape(-1, *SHAPE).transpose(0, 3, 2, 1)


def _labels(file: Path, n: int) -> NDArray[np.int64]:
    found = np.fromfile(file, np.uint8) if file.is_file() else np.empty(0, np.uint8)
    if len(found) != n or not ((found >= 1) & (found <= 10)).all():
        raise UserError(f"dataset.params.path: {file}: expected {n:,} labels from 1 to 10")
    return found.astype(np.int64) - 1
