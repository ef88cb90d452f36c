"""Near-duplicates: which rows of a feature space are one picture, by links and chains of links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CHUNK = 1024  # queries at once: memory stays bounded as long as few rows are near each other


def groups(features: NDArray[Any], radius: float) -> NDArray[np.int64]:
    """For each row the first row of its group, (n, d) -> (n,): rows within `radius` are linked.

    `radius` is a Euclidean distance, its end included, so that 0 links exact copies. Chains of
    links are one group (connected components), however far apart their ends are.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    features = np.ascontiguousarray(features, dtype=np.float32)
    one, two = np.concatenate(list(_links(features, radius)), axis=1)
    links = coo_array((np.ones(len(one), bool), (one, two)), shape=(len(features),) * 2)
    _, component = connected_components(links, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component]


def unique(index: NDArray[np.int64], features: NDArray[Any], radius: float) -> pd.DataFrame:
    """Which of the images with these numbers stay: the first of each group, (n,) and (n, d).

    One row per image: index, group (the number of the group's first image), kept (0 or 1).
    """
    group = index[groups(features, radius)]
    return pd.DataFrame({"index": index, "group": group, "kept": (group == index).astype(int)})


def _links(features: NDArray[np.float32], radius: float) -> Iterator[NDArray[np.int64]]:
    """Pairs of rows within the radius of each other, (2, some) at a time, each row with itself.

    FAISS expands the square and rounds, so it is asked a little more, and the distances are
    computed once more.
    """
    import faiss

    index: Any = faiss.IndexFlatL2(features.shape[1])
    index.add(features)
    norm = float((features.astype(np.float64) ** 2).sum(1).max())
    within = 1.001 * radius**2 + 1e-5 * max(norm, 1.0)
    for start in range(0, len(features), CHUNK):
        limits, _, two = index.range_search(features[start : start + CHUNK], within)
        counts = np.diff(limits.astype(np.int64))
        one = np.repeat(np.arange(start, start + len(counts)), counts)
        gap = np.sqrt(((features[one].astype(np.float64) - features[two]) ** 2).sum(1))
        yield np.stack([one, two])[:, gap <= radius]
