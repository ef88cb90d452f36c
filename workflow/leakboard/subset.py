"""The subset as it was written: which images are in which pool, half and fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard.errors import UserError


def read_split(path: str | Path) -> pd.DataFrame:
    """The split as it was written, empty cells as empty text."""
    return pd.read_csv(path, keep_default_na=False)


def rows_of_pool(table: pd.DataFrame, data: str) -> NDArray[np.int64]:
    """The image numbers of a pool or of half of the members ("half-a", "half-b"), ascending."""
    if data.startswith("half-"):
        chosen = table["half"] == data.removeprefix("half-")
    else:
        chosen = table["pool"] == data
    rows = table.loc[chosen, "index"].to_numpy()
    if not len(rows):
        raise UserError(
            f"subset: pool '{data}' is empty; leave more images for it, or read more of the "
            f"dataset, as `part: all` where it has parts"
        )
    return rows


def trained_rows(
    table: pd.DataFrame, data: str, dedup: pd.DataFrame | None = None
) -> NDArray[np.int64]:
    """The image numbers that an epoch shows of a pool, ascending: planted duplicates repeat.

    With `dedup`, the table of a deduplication, only images that it kept, and each of them once.
    """
    rows = rows_of_pool(table, data)
    if dedup is not None:
        return rows[np.isin(rows, dedup.loc[dedup["kept"] == 1, "index"])]
    return np.repeat(rows, table["times"].to_numpy()[rows])


def relabeled(labels: NDArray[np.int64], path: str | Path) -> NDArray[np.int64]:
    """The labels (n,) of all images, those of a table (index, label) replaced."""
    table, changed = pd.read_csv(path), labels.copy()
    changed[table["index"].to_numpy()] = table["label"].to_numpy()
    return changed


def drawn(n: int) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64]]]:
    """Of n drawn pictures: labels (n,), all 0, for they have none, and the rows of their pool."""
    return np.zeros(n, np.int64), {"drawn": np.arange(n)}


def audited(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that attacks are asked about: members and held-out images."""
    return table[table["pool"].isin(["members", "held-out"])].reset_index(drop=True)
