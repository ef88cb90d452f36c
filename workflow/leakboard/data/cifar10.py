"""CIFAR-10 from its official archive."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from leakboard.cifar import Edition, Loaded, load

TEN = Edition(
    name="cifar-10",
    train=tuple(f"data_batch_{k}" for k in range(1, 6)),
    test=("test_batch",),
    key="labels",
    at=0,
    before=1,
    classes=10,
)


@dataclass(frozen=True)
class Dataset:
    """60,000 photographs of 32x32 in 10 classes (Krizhevsky 2009), in their published order.

    `path` is cifar-10-python.tar.gz, cifar-10-binary.tar.gz or the folder unpacked from either.
    Training images are numbered 0..49999, as published splits number them, test images 50000..59999
    """

    path: str  # the archive, or its folder
    part: Literal["train", "test", "all"] = "train"

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> Loaded:
        """Images (n, 32, 32, 3) uint8, labels (n,) in 0..9, and the number of each image."""
        return load(self.path, self.part, TEN)
