"""Nearest neighbors: exact, ties broken by index, whichever library does the search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard.measures.similarity import from_distance

Features = NDArray[np.float32]
CHUNK = 4096  # queries at once: memory stays bounded whatever the number of queries


@dataclass(frozen=True)
class Neighbors:
    """Distances, nearest first, and the rows of the references they belong to; both (n, k)."""

    distance: NDArray[np.float64]
    index: NDArray[np.int64]


def nearest(queries: Features, references: Features, k: int, *, own: bool = False) -> Neighbors:
    """The k nearest references of each query in Euclidean distance, (n, d), (m, d) -> (n, k).

    `own`: the queries are the references, and no row is its own neighbor.
    The search is FAISS's flat index; distances are then recomputed in float64 by subtraction,
    because the search expands the square and loses an exact copy's zero to rounding.
    Raises ValueError if there are fewer than k references.
    """
    if k > len(references) - own:
        raise ValueError(f"{k} neighbors asked for among {len(references) - own} references")
    wanted = min(k + 1 + own, len(references))  # one more, so that ties at the end are seen
    queries, references = (np.ascontiguousarray(a, dtype=np.float32) for a in (queries, references))
    parts = [
        _exact(queries[i : i + CHUNK], references, wanted, k, i if own else None)
        for i in range(0, len(queries), CHUNK)
    ]
    return Neighbors(
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.index for part in parts]),
    )


def _exact(
    queries: Features, references: Features, wanted: int, k: int, first: int | None
) -> Neighbors:
    found = _search(queries, references, wanted)
    gap = queries[:, None].astype(np.float64) - references[found]  # (n, wanted, d)
    distance = np.sqrt((gap**2).sum(-1))
    if first is not None:
        distance[found == np.arange(first, first + len(queries))[:, None]] = np.inf
    order = np.lexsort((found, distance))[:, :k]
    take = np.take_along_axis
    return Neighbors(take(distance, order, 1), take(found, order, 1).astype(np.int64))


def _search(queries: Features, references: Features, k: int) -> NDArray[np.int64]:
    import faiss

    index = faiss.IndexFlatL2(references.shape[1])
    index.add(references)
    return index.search(queries, k)[1]


def table(
    queries: Features,
    names: NDArray[np.int64],
    references: Features,
    reference_names: NDArray[np.int64],
    k: int,
    measure: str,
) -> pd.DataFrame:
    """What the copying measures read, one row per query.

    sample, neighbor (their numbers), similarity (see `from_distance`), distance and runner_up
    (d_1 and d_2), mean_k (the mean of the k smallest distances, d_1 included).
    """
    found = nearest(queries, references, k)
    return pd.DataFrame(
        {
            "sample": names,
            "neighbor": reference_names[found.index[:, 0]],
            "similarity": from_distance(found.distance[:, 0], measure),
            "distance": found.distance[:, 0],
            "runner_up": found.distance[:, min(1, k - 1)],
            "mean_k": found.distance.mean(1),
        }
    )
