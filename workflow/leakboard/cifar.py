"""The CIFAR archives as they are published: Python pickles or binary records, packed or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakboard import assets, pickles
from leakboard.archives import published
from leakboard.errors import UserError

LARGEST = 2**29  # bytes of an unpacked archive; the published ones have less than 200 MB
PIXELS = 3 * 32 * 32  # planes of red, green, blue
TRAIN = 50_000  # test images are numbered after so many
Loaded = tuple[NDArray[np.uint8], NDArray[np.int64], dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class Edition:
    """What CIFAR-10 and CIFAR-100 differ in."""

    name: str  # of the archives: {name}-python.tar.gz, {name}-binary.tar.gz
    train: tuple[str, ...]  # files in a Python archive; binary ones end in .bin
    test: tuple[str, ...]
    key: str  # of the labels in a pickle
    at: int  # the byte of a record that holds the label
    before: int  # bytes of a record before its pixels
    classes: int


def load(path: str, part: str, edition: Edition) -> Loaded:
    """Images (n, 32, 32, 3), labels (n,) and {"number": (n,)}, in the order of publication.

    part: train, test or all. Training images are numbered 0..49999, test images from 50000 on.
    UserError where the archive is not what was published.
    """
    wanted = {"train": edition.train, "test": edition.test}
    names = [name for kind in wanted if part in (kind, "all") for name in wanted[kind]]
    found = _files(path, edition, names)
    images, labels, numbers = [], [], []
    for kind, files in wanted.items():
        first = TRAIN if kind == "test" else 0
        for name in files:
            if name in names:
                pixels, classes = _read(found, name, path, edition)
                images.append(pixels)
                labels.append(classes)
                numbers.append(np.arange(first, first + len(classes)))
                first += len(classes)
    # (n, 3072) -> (n, 3, 32, 32) -> (n, 32, 32, 3)
    planes = np.concatenate(images).reshape(-1, 3, 32, 32)
    whole = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return whole, np.concatenate(labels), {"number": np.concatenate(numbers)}


def _read(
    found: dict[str, bytes], name: str, path: str, edition: Edition
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (n, 3072) and labels (n,) of one file."""
    if f"{name}.bin" in found:
        at, size = f"{path}: {name}.bin", edition.before + PIXELS
        data = np.frombuffer(found[f"{name}.bin"], np.uint8)
        if not data.size or data.size % size:
            raise UserError(f"{at}: {data.size:,} bytes are not whole records of {size} bytes")
        records = data.reshape(-1, size)
        pixels, labels = records[:, edition.before :], records[:, edition.at].astype(np.int64)
    else:
        at = f"{path}: {name}"
        said = pickles.read(found[name], at)
        whole, given = said.get("data"), said.get(edition.key)
        shape = getattr(whole, "shape", None)
        if not isinstance(given, list) or shape != (len(given), PIXELS) or not given:
            raise UserError(f"{at}: expected `data` (n, {PIXELS}) and n `{edition.key}`")
        if not all(type(label) is int for label in given):
            raise UserError(f"{at}: `{edition.key}`: expected whole numbers")
        pixels, labels = np.asarray(whole), np.array(given, np.int64)
    if labels.min() < 0 or labels.max() >= edition.classes:
        raise UserError(f"{at}: expected labels from 0 to {edition.classes - 1}")
    return pixels, labels


def _files(path: str, edition: Edition, names: list[str]) -> dict[str, bytes]:
    """The content of each file in an archive or a folder: all of Python's kind or all binary."""
    root = assets.verified(path)
    either = {*names, *(f"{name}.bin" for name in names)}
    found = _of_folder(root, either) if root.is_dir() else _of_archive(root, either)
    for kind in (names, [f"{name}.bin" for name in names]):
        if all(name in found for name in kind):
            return {name: found[name] for name in kind}
    some = f"; {min(set(names) - set(found))} is missing" if found else ""
    raise UserError(
        f"dataset.params.path: '{path}' is neither {edition.name}-python.tar.gz nor "
        f"{edition.name}-binary.tar.gz as published, nor the folder unpacked from one{some}"
    )


def _of_folder(root: Path, names: set[str]) -> dict[str, bytes]:
    files = {file.name: file for file in (*root.glob("*/*"), *root.glob("*"))}
    some = {name: files[name] for name in names & files.keys() if files[name].is_file()}
    if large := [file for file in some.values() if file.stat().st_size > LARGEST]:
        raise UserError(f"{large[0]}: too large for a file of this archive")
    return {name: file.read_bytes() for name, file in some.items()}


def _of_archive(path: Path, names: set[str]) -> dict[str, bytes]:
    """The files by their names without folders."""
    found: dict[str, bytes] = {}
    with published(path, LARGEST) as files:
        for name, _, content in files:
            if name in names:
                if name in found:
                    raise UserError(f"{name} is in it twice")
                found[name] = content.read()
    return found
