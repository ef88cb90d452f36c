"""CelebA from its folder of aligned pictures."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from leakboard import assets, listings
from leakboard.errors import UserError
from leakboard.pictures import Pictures

PARTS = {"train": "0", "valid": "1", "test": "2"}


@dataclass(frozen=True)
class Dataset:
    """202,599 aligned faces of 178x218 (Liu 2015), sorted by file name.

    `path` is the folder img_align_celeba. Images are numbered by their file names: 000001.jpg is 1.
    Labels are persons (`identity`, identity_CelebA.txt), one attribute, 0 or 1 (`attributes`,
    list_attr_celeba.txt, and `attribute`), or all 0. A `part` needs `partition`
    (list_eval_partition.txt). Usual are `crop: 140, size: 64`, or `crop: 178`, in `dataset`, and a
    `limit`.
    """

    path: str  # the folder of .jpg files
    part: Literal["train", "valid", "test", "all"] = "all"
    partition: str = ""  # list_eval_partition.txt
    identity: str = ""  # identity_CelebA.txt
    attributes: str = ""  # list_attr_celeba.txt
    attribute: str = ""  # one of its columns, as Smiling

    # params that name what is read from outside
    reads: ClassVar[tuple[str, ...]] = ("path", "partition", "identity", "attributes")

    def load(self) -> tuple[Pictures, NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Pictures (218, 178, 3), decoded when asked for, labels (n,), numbers and files."""
        root = assets.verified(self.path)
        files = sorted(f.name for f in root.glob("*.jpg"))
        if not files:
            raise UserError(f"dataset.params.path: no *.jpg in '{root}'; expected img_align_celeba")
        if self.part != "all":
            where = PARTS[self.part]
            _, of = self._lines("partition", self.partition, files)
            files = [file for file in files if of[file][:1] == [where]]
            if not files:
                raise UserError(f"dataset.params.part: no image of {self.part} in '{root}'")
        if odd := [file for file in files if not file.removesuffix(".jpg").isdecimal()]:
            raise UserError(f"{root / odd[0]}: expected a number as its name, as 000001.jpg")
        numbers = np.array([int(file.removesuffix(".jpg")) for file in files])
        pictures = Pictures([str(root / f) for f in files], lambda i: root / files[i])
        return pictures, self._labels(files), {"number": numbers, "file": np.array(files, object)}

    def _labels(self, files: list[str]) -> NDArray[np.int64]:
        if self.identity and (self.attribute or self.attributes):
            raise UserError("dataset.params: `identity` and `attribute` are two labels; leave one")
        if self.identity:
            _, of = self._lines("identity", self.identity, files)
            return listings.classes([" ".join(of[file][:1]) for file in files])
        if not self.attribute and not self.attributes:
            return np.zeros(len(files), np.int64)
        head, of = self._lines("attributes", self.attributes, files)
        known = [word for word in head if not word.isdecimal() and word != "image_id"]
        if self.attribute not in known or any(len(of[f]) != len(known) for f in files):
            raise UserError(
                f"dataset.params.attribute: '{self.attribute}' is none of those in "
                f"{self.attributes}: {', '.join(known)}"
            )
        at = known.index(self.attribute)
        return np.array([of[file][at] == "1" for file in files], np.int64)

    def _lines(
        self, param: str, path: str, files: list[str]
    ) -> tuple[list[str], dict[str, list[str]]]:
        if not path:
            raise UserError(f"dataset.params.{param}: missing; name the published .txt file")
        return listings.lines(assets.verified(path), files)
