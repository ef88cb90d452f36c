"""STL-10's binary files, in a folder or still packed. Refuses others by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakboard.archives import published
from leakboard.errors import UserError

SHAPE = (3, 96, 96)
PIXELS = 3 * 96 * 96
LARGEST = 2**32  # bytes of the unpacked archive; the published one has 3,124,600,000
LABELS = 2**20  # bytes of a file of labels; the published ones have 8,000 at most


class Packed(Sequence[Any]):
    """Images (96, 96, 3) of files in an archive, by number: in order, it is unpacked once."""

    def __init__(self, path: Path, sizes: Mapping[str, int]) -> None:
        self.path, self.sizes = path, sizes
        self.next, self.stream = 0, self._unpacked()

    def __len__(self) -> int:
        return sum(self.sizes.values()) // PIXELS

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(i)
        if i < self.next:
            self.next, self.stream = 0, self._unpacked()
        image = next(islice(self.stream, int(i) - self.next, None))
        self.next = int(i) + 1
        return image

    def _unpacked(self) -> Iterator[NDArray[np.uint8]]:
        for wanted, size in self.sizes.items():
            with published(self.path, LARGEST) as files:
                content = next(content for name, _, content in files if name == wanted)
                for _ in range(size // PIXELS):
                    yield _turned(np.frombuffer(content.read(PIXELS), np.uint8))[0]


def listed(path: Path, files: list[str], told: str) -> tuple[dict[str, int], bytes]:
    """The size of each of these files in an archive, and the content of that of labels, if any."""
    sizes: dict[str, int] = {}
    labels = b""
    with published(path, LARGEST) as inside:
        for name, size, content in inside:
            if name in files:
                sizes[name] = _whole(size, f"{path}: {name}")
            elif name == told:
                labels = content.read(LABELS)
            if len(sizes) == len(files) and (labels or not told):
                return {name: sizes[name] for name in files}, labels
    raise UserError(
        f"dataset.params.path: '{path}' is neither stl10_binary.tar.gz as published nor the folder "
        f"unpacked from it; {min({*files, told} - {*sizes, ''})} is missing"
    )


def mapped(file: Path) -> NDArray[np.uint8]:
    """(n, 96, 96, 3) of a file, mapped into memory, not read."""
    _whole(file.stat().st_size if file.is_file() else 0, str(file))
    return _turned(np.asarray(np.memmap(file, np.uint8, "r")))


def _turned(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bytes of images, as planes of columns -> (n, 96, 96, 3)."""
    return planes.reshape(-1, *SHAPE).transpose(0, 3, 2, 1)


def _whole(size: int, at: str) -> int:
    if not size or size % PIXELS:
        raise UserError(
            f"dataset.params.path: {at}: expected whole images of {PIXELS:,} bytes, found "
            f"{size:,} bytes; name stl10_binary.tar.gz as published, or its folder"
        )
    return size


def labels(at: Path, content: bytes, n: int) -> NDArray[np.int64]:
    """(n,) from 0 on, of the content of a file of labels."""
    found = np.frombuffer(content, np.uint8)
    if len(found) != n or not ((found >= 1) & (found <= 10)).all():
        raise UserError(f"dataset.params.path: {at}: expected {n:,} labels from 1 to 10")
    return found.astype(np.int64) - 1
