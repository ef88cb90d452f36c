"""Tiny ImageNet from its folder or its archive."""

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from leakboard import assets
from leakboard.errors import UserError
from leakboard.pictures import Pictures

LARGEST = 2**24  # bytes of a file; a picture has about 2,000
NOTES = "val/val_annotations.txt"


@dataclass(frozen=True)
class Dataset:
    """110,000 photographs of 64x64 in 200 classes (Stanford CS231N), without the unlabeled test.

    `path` is tiny-imagenet-200.zip or the folder unpacked from it. Images are numbered 0..99999 in
    train, by class and file name in the order of text, which is how published splits number them,
    and from 100000 on in val. A class's number is its place among the sorted class names. Usual is
    `size: 32`, or 64 as it is, in `dataset`.
    """

    path: str  # the .zip, or the folder tiny-imagenet-200
    part: Literal["train", "val", "all"] = "train"

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[Pictures, NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Pictures (64, 64, 3), decoded when asked for, labels (n,), numbers and files."""
        names, read = _opened(assets.verified(self.path), self.path)
        train = [n for n in names if n.startswith("train/") and "/images/" in n and _jpeg(n)]
        train.sort(key=lambda name: (name.split("/")[1], name))
        classes = {name: k for k, name in enumerate(sorted({n.split("/")[1] for n in train}))}
        found = [(name, classes[name.split("/")[1]], i) for i, name in enumerate(train)]
        if not found:
            raise UserError(f"dataset.params.path: no train/*/images/*.JPEG in '{self.path}'")
        val = self._val(names, read, classes) if self.part != "train" else []
        found = {"train": found, "val": val, "all": found + val}[self.part]
        files = [name for name, _, _ in found]
        columns = {"number": np.array([n for _, _, n in found]), "file": np.array(files, object)}
        pictures = Pictures([f"{self.path}: {f}" for f in files], lambda i: read(files[i]))
        return pictures, np.array([label for _, label, _ in found], np.int64), columns

    def _val(
        self, names: list[str], read: Callable[[str], bytes], classes: dict[str, int]
    ) -> list[tuple[str, int, int]]:
        """(file, label, number) of each image of val, sorted by file."""
        rows = read(NOTES).decode().splitlines() if NOTES in names else []
        said = {words[0]: words[1] for row in rows if len(words := row.split()) > 1}
        files = sorted(n for n in names if n.startswith("val/images/") and _jpeg(n))
        wrong = [f for f in files if said.get(f.rpartition("/")[2]) not in classes]
        if wrong or not files:
            what = f"no class of {wrong[0]}" if wrong else "no val/images/*.JPEG"
            raise UserError(f"dataset.params.path: '{self.path}': {what}; {NOTES} should say it")
        return [(f, classes[said[f.rpartition("/")[2]]], 100_000 + i) for i, f in enumerate(files)]


def _jpeg(name: str) -> bool:
    return name.endswith(".JPEG")


def _opened(root: Path, path: str) -> tuple[list[str], Callable[[str], bytes]]:
    """The files by their paths in tiny-imagenet-200, and how to read one; nothing is written."""
    if root.is_dir():
        top = root / "tiny-imagenet-200" if (root / "tiny-imagenet-200").is_dir() else root
        return [
            f.relative_to(top).as_posix()
            for part in ("train", "val")
            for f in (top / part).rglob("*")
            if f.is_file()
        ], lambda name: (top / name).read_bytes()
    try:
        archive = zipfile.ZipFile(root)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"dataset.params.path: '{path}' is neither tiny-imagenet-200.zip nor its folder "
            f"({error})"
        ) from error
    inside = {each.filename.removeprefix("tiny-imagenet-200/"): each for each in archive.infolist()}

    def read(name: str) -> bytes:
        if inside[name].file_size > LARGEST:
            raise UserError(f"{path}: {name}: unpacks to more than {LARGEST:,} bytes; not read")
        try:
            return archive.read(inside[name])
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise UserError(f"{path}: {name}: cannot be unpacked ({error})") from error

    return [name for name in inside if not name.endswith("/")], read
