"""What a long job has finished: batches of images, so that nothing that was done is done again.

A job that was stopped goes on from them, and so does one that shares the work with others than
before. A batch is used whole or not at all, so what comes out is the same to the bit.
"""

from __future__ import annotations

import hashlib
import time
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakboard.artefacts import read_json, read_table, write_npz
from leakboard.digests import canonical
from leakboard.errors import UserError
from leakboard.files import sha256

SECONDS = 15  # a killed job loses at most this, and one batch

Arrays = dict[str, NDArray[Any]]


def key(spec: Any, inputs: Iterable[str | Path]) -> str:
    """16 hexadecimal digits that name what images are made from: a spec, and files by content."""
    said = hashlib.sha256(canonical(spec).encode())
    for file in inputs:
        said.update(bytes.fromhex(sha256(file)))
    return said.hexdigest()[:16]


class Kept:
    """The batches of one job: each is found, or added once it is finished.

    folder: where batches are kept, written every SECONDS, until `forget`; jobs of one set share it.
    key: what they are made from; what was made from anything else is not used. others: finished
    files that may hold some of them, and the seconds that an image took there.
    As a context, it keeps what was added when anything at all ends it early.
    """

    def __init__(
        self, folder: str | Path, key: str, others: Mapping[Path, float] | Iterable[Path] = ()
    ) -> None:
        self.folder, self.key, self.others = (
            Path(folder),
            key,
            (others if isinstance(others, Mapping) else dict.fromkeys(others, 0.0)),
        )
        self.seconds = 0.0  # of everything found or added
        self.found = self.made = 0  # batches
        self._new: list[Arrays] = []
        self._new_seconds, self._kept = 0.0, time.monotonic()
        self._open: tuple[Path | None, Arrays] = None, {}
        self._known: list[tuple[Path, NDArray[np.int64], float]] | None = None

    def find(self, first: int, stop: int, full: bool) -> Arrays | None:
        """The arrays of a batch, without `numbers`; None if it has yet to be made.

        full: whether it has as many images as a batch can have. A shorter one, cut off by the last
        image, is another batch than the one that goes on where more images are known.
        """
        for path, numbers, each in self._files():
            place = int(np.searchsorted(numbers, first))
            there = np.array_equal(numbers[place : place + stop - first], np.arange(first, stop))
            if there and (full or stop not in numbers):
                try:
                    if self._open[0] != path:
                        self._open = path, _arrays(path)
                except DAMAGED:
                    continue
                self.found += 1
                self.seconds += each * (stop - first)
                rows = slice(place, place + stop - first)
                return {name: array[rows] for name, array in self._open[1].items()}
        return None

    def add(self, first: int, stop: int, arrays: Arrays, seconds: float) -> None:
        """Keep a batch that is finished, and what it took."""
        self.made += 1
        self.seconds += seconds
        self._new.append({"numbers": np.arange(first, stop), **arrays})
        self._new_seconds += seconds
        if time.monotonic() - self._kept > SECONDS:
            self.write()

    def write(self) -> None:
        """Write what was added since the last time."""
        if self._new:
            arrays = {n: np.concatenate([some[n] for some in self._new]) for n in self._new[0]}
            path = self.folder / f"{arrays['numbers'][0]}-{self.key}.npz"
            each = np.array(self._new_seconds / len(arrays["numbers"]))
            write_npz(path, None, **arrays, key=np.array(self.key), each=each)
        self._new, self._new_seconds, self._kept = [], 0.0, time.monotonic()

    def forget(self, start: int, stop: int) -> None:
        """Remove what is kept of a range: its job is done, and its output is written.

        The folder stays, for another job of the set may be about to write into it.
        """
        for path in self.folder.glob("[!.]*.npz"):
            numbers = _about(path)[1]
            if start <= min(numbers, default=start) and max(numbers, default=start) < stop:
                path.unlink(missing_ok=True)

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        print(f"batches: {self.made} made, {self.found} found of earlier jobs")
        if error is not None:
            self.write()

    def _files(self) -> list[tuple[Path, NDArray[np.int64], float]]:
        """(file, numbers of its images, seconds that one took) of all files of this key."""
        if self._known is None:
            own = dict.fromkeys(sorted(self.folder.glob("[!.]*.npz")), 0.0)
            found = ((path, *_about(path), each) for path, each in {**own, **self.others}.items())
            self._known = [
                (path, numbers, said or each)
                for path, made_from, numbers, said, each in found
                if made_from == self.key and len(numbers)
            ]
        return self._known


def marks(key: str, start: int, stop: int) -> Arrays:
    """What a file of images says of itself, for later jobs to know what is in it."""
    return {"key": np.array(key), "numbers": np.arange(start, stop)}


def finished(folder: Path, costs: Path) -> dict[Path, float]:
    """Files of pictures in a folder -> the seconds that a picture took, as records beside say."""
    found = {}
    for path in sorted(folder.glob("[!.]*.npz")):
        try:
            cost = read_json(costs / f"{path.stem}.json")
            found[path] = cost["drawing_seconds"] / cost["images"]
        except (UserError, KeyError, TypeError, ZeroDivisionError):
            pass  # without a record of its cost it is made again
    return found


DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def _about(path: Path) -> tuple[str, NDArray[np.int64], float]:
    """The key of a file, the images that it holds, and the seconds of each; none if damaged."""
    try:
        if path.suffix == ".parquet":
            return *_scored(path), 0.0
        with np.load(path, allow_pickle=False) as archive:
            seconds = float(archive["each"]) if "each" in archive else 0.0
            return str(archive["key"]), archive["numbers"], seconds
    except DAMAGED:
        return "", np.empty(0, np.int64), 0.0


def _scored(path: Path) -> tuple[str, NDArray[np.int64]]:
    """The same of a table of all scores; there is no key where a head made them."""
    import pyarrow.parquet as pq

    about = pq.read_metadata(path)
    key = (about.metadata or {}).get(b"key", b"").decode()
    return key, np.arange(about.num_rows)


def _arrays(path: Path) -> Arrays:
    if path.suffix == ".parquet":
        return {"answers": read_table(path)["score"].to_numpy()}
    left_out = ("about", "key", "each", "numbers")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files if name not in left_out}
