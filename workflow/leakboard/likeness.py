"""How like its nearest training image each picture is: the table that the copying measures read."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard.errors import UserError
from leakboard.measures.similarity import from_distance
from leakboard.neighbors import nearest

Ints = NDArray[np.int64]


def table(
    queries: NDArray[Any],
    names: Ints,
    references: NDArray[Any],
    reference_names: Ints,
    k: int,
    measure: str,
    *,
    method: str = "flat",
    mirrored: NDArray[Any] | None = None,
) -> pd.DataFrame:
    """What the copying measures read, one row per query.

    sample, neighbor (their numbers), similarity (see `from_distance`), distance and runner_up
    (d_1 and d_2), mean_k (the mean of the k smallest distances, d_1 included). Equal references
    count once, under the first one's number; method and mirrored: see `Index`.
    Raises UserError if fewer than k are distinct.
    """
    kept = distinct(references, mirrored)
    if k > len(kept):
        raise UserError(
            f"evaluation.neighbors: {k} neighbors asked for among {len(references)} images, of "
            f"which {len(kept)} differ in their features; set it to at most {len(kept)}"
        )
    if len(kept) < len(references):
        references, mirrored = references[kept], None if mirrored is None else mirrored[kept]
    found = nearest(queries, references, k, method=method, mirrored=mirrored)
    return pd.DataFrame(
        {
            "sample": names,
            "neighbor": reference_names[kept[found.index[:, 0]]],
            "similarity": from_distance(found.distance[:, 0], measure),
            "distance": found.distance[:, 0],
            "runner_up": found.distance[:, min(1, k - 1)],
            "mean_k": found.distance.mean(1),
        }
    )


def distinct(references: NDArray[Any], mirrored: NDArray[Any] | None = None) -> Ints:
    """The first row of every group of equal rows, ascending; a row equals its mirror image."""
    sides = [side for side in (references, mirrored) if side is not None]
    seen: dict[tuple[bytes, ...], int] = {}
    for i in range(len(references)):  # + 0.0 makes one zero of two
        marks = (hashlib.blake2b((side[i] + 0.0).tobytes(), digest_size=16) for side in sides)
        seen.setdefault(tuple(sorted(mark.digest() for mark in marks)), i)
    return np.fromiter(seen.values(), dtype=np.int64)
