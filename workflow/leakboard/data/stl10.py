"""STL-10 from its archive, or from its binary files."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from leakboard import assets, stl

PARTS = ("unlabeled", "train", "test")


@dataclass(frozen=True)
class Dataset:
    """113,000 photographs of 96x96 in 10 classes (Coates 2011), 100,000 of them without labels.

    `path` is stl10_binary.tar.gz or the folder unpacked from it, from which a few images are read
    sooner. Images are numbered 0.. in their part, as published splits number the unlabeled ones;
    with `part: all` the 5,000 of train and the 8,000 of test come after the unlabeled ones. Labels
    are 0..9, and all 0 where there are unlabeled images. Usual are `size: 32`, or 64, in `dataset`.
    """

    path: str  # the archive, or the folder stl10_binary
    part: Literal["unlabeled", "train", "test", "all"] = "unlabeled"

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[Any, NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Images (n, 96, 96, 3) uint8, read from the files as needed, labels and numbers (n,)."""
        root = assets.verified(self.path)
        parts = [part for part in PARTS if self.part in (part, "all")]
        files = [f"{part}_X.bin" for part in parts]
        told = "" if "unlabeled" in parts else f"{self.part}_y.bin"
        whole: Any
        if root.is_dir():
            root = root / "stl10_binary" if (root / "stl10_binary").is_dir() else root
            mapped = [stl.mapped(root / file) for file in files]
            # views of each image, where the files are several: nothing is read yet
            whole = mapped[0] if len(files) == 1 else [image for part in mapped for image in part]
            given = (root / told).read_bytes() if told and (root / told).is_file() else b""
        else:
            sizes, given = stl.listed(root, files, told)
            whole = stl.Packed(root, sizes)
        n = len(whole)
        labels = stl.labels(root / told, given, n) if told else np.zeros(n, np.int64)
        return whole, labels, {"number": np.arange(n)}
