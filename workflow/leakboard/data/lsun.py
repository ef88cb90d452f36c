"""LSUN from a folder of its pictures, or from its database."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from leakboard import assets
from leakboard.errors import UserError
from leakboard.pictures import SUFFIXES, Pictures


@dataclass(frozen=True)
class Dataset:
    """A category of LSUN, as church_outdoor (126,227 photographs; Yu 2015), without labels.

    `path` is the published database (a folder with data.mdb, church_outdoor_train_lmdb; it needs
    `pip install lmdb`), its pictures sorted by key, or a folder of exported pictures, sorted by
    path. They are of many sizes: say `crop: square` and a `size`, and a `limit`, in `dataset`.
    """

    path: str  # the folder

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[Pictures, NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Pictures (h, w, 3), decoded when asked for, labels (n,), all 0, and the key of each."""
        root = assets.verified(self.path)
        if (root / "data.mdb").is_file():
            pictures, names = _database(root)
        else:
            files = sorted(f for f in root.rglob("*") if f.suffix.lower() in SUFFIXES)
            names = [f.relative_to(root).as_posix() for f in files]
            pictures = Pictures([str(f) for f in files], files.__getitem__)
        if not names:
            raise UserError(f"dataset.params.path: neither data.mdb nor images in '{root}'")
        return pictures, np.zeros(len(names), np.int64), {"file": np.array(names, object)}


def _database(root: Path) -> tuple[Pictures, list[str]]:
    """The pictures of a database and their keys, sorted."""
    try:
        import lmdb
    except ImportError:
        raise UserError(
            f"dataset.params.path: '{root}' is an LMDB database, which needs the package lmdb: "
            f"`pip install lmdb`"
        ) from None
    try:
        store = lmdb.open(str(root), readonly=True, lock=False, readahead=False)
        # a cursor's keys are sorted
        with store.begin() as reading:
            keys = [bytes(key) for key in reading.cursor().iternext(values=False)]
    except lmdb.Error as error:
        raise UserError(f"dataset.params.path: '{root}' cannot be read ({error})") from error

    def picture(i: int) -> bytes:
        with store.begin() as reading:
            return bytes(reading.get(keys[i]))

    names = [key.decode("latin-1") for key in keys]
    return Pictures([f"{root}: {name}" for name in names], picture), names
