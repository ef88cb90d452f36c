"""Splits that somebody else made: by published lists of numbers, or by files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakboard import assets
from leakboard.errors import UserError

LISTS = ("mia_train_idxs", "mia_eval_idxs")  # members, held-out
Rows = NDArray[np.int64]
Sides = tuple[Rows, Rows]  # rows that members and held-out images may be taken from


def sides(
    columns: Mapping[str, NDArray[Any]],
    n: int,
    split: str | None = None,
    files: Mapping[str, str] | None = None,
) -> Sides | None:
    """Which of n images may be members and which held-out, ascending; None where all may be both.

    columns: what the dataset knows of its images. A published split names images by their `number`,
    or, where there is none, by their place; `files` by patterns of their `file`. Raises UserError
    where a list is not there, repeats itself or meets the other, and where it names no image.
    """
    if split is not None:
        numbers = columns.get("number", np.arange(n))
        found, counts = np.unique(numbers, return_counts=True)
        if (counts > 1).any():
            raise UserError(
                f"subset.split: {split}: the dataset has {counts.max()} images of the number "
                f"{found[counts.argmax()]}, and a split names images by their numbers"
            )
        lists = _read(split)
        one, two = (np.flatnonzero(np.isin(numbers, each)) for each in lists)
        for name, each, rows in zip(LISTS, lists, (one, two), strict=True):
            print(f"{split}: {name}: {len(each):,} images, {len(rows):,} of them in the dataset")
        where = f"subset.split: {split}"
    elif files is not None:
        if "file" not in columns:
            raise UserError("subset.files: the dataset names no files; remove it")
        names = columns["file"].tolist()
        one, two = (
            np.flatnonzero([fnmatchcase(name, files[key]) for name in names])
            for key in ("members", "held_out")
        )
        if len(both := np.intersect1d(one, two)):
            raise UserError(f"subset.files: '{names[both[0]]}' matches both patterns")
        where = "subset.files"
    else:
        return None
    for pool, rows in (("members", one), ("held-out images", two)):
        if not len(rows):
            raise UserError(f"{where}: no image of the dataset is among its {pool}")
    return one, two


def _read(path: str) -> Sides:
    """The two lists of numbers of a published split."""
    try:
        with np.load(assets.verified(path), allow_pickle=False) as archive:
            one, two = (archive[name] for name in LISTS)
    except (
        *(OSError, ValueError, KeyError, EOFError, TypeError, AttributeError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise UserError(
            f"subset.split: '{path}' is not a .npz with {' and '.join(LISTS)} ({error})"
        ) from error
    for name, numbers in zip(LISTS, (one, two), strict=True):
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise UserError(
                f"subset.split: {path}: `{name}` is {numbers.dtype} {numbers.shape}, expected a "
                f"list of whole numbers"
            )
        if len(np.unique(numbers)) < len(numbers):
            raise UserError(f"subset.split: {path}: `{name}` names an image twice")
    if len(both := np.intersect1d(one, two)):
        raise UserError(f"subset.split: {path}: {both[0]} is in both lists ({len(both)} such)")
    return one.astype(np.int64), two.astype(np.int64)
