"""CIFAR-100 from its official archive."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from leakboard.cifar import Edition, Loaded, load

FINE = Edition(
    name="cifar-100",
    train=("train",),
    test=("test",),
    key="fine_labels",
    at=1,
    before=2,
    classes=100,
)
COARSE = replace(FINE, key="coarse_labels", at=0, classes=20)


@dataclass(frozen=True)
class Dataset:
    """60,000 photographs of 32x32 in 100 classes (Krizhevsky 2009), in their published order.

    `path` is cifar-100-python.tar.gz, cifar-100-binary.tar.gz or the folder unpacked from either.
    Training images are numbered 0..49999, as published splits number them, test images 50000..59999
    """

    path: str  # the archive, or its folder
    part: Literal["train", "test", "all"] = "train"
    labels: Literal["fine", "coarse"] = "fine"  # 100 classes, or their 20 superclasses

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> Loaded:
        """Images (n, 32, 32, 3) uint8, labels (n,), and the number of each image."""
        return load(self.path, self.part, FINE if self.labels == "fine" else COARSE)
