"""Near-duplicates: which rows of a feature space are one picture, by links and chains of links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard.errors import UserError
from leakboard.neighbors import Index
from leakboard.subset import rows_of_pool, trained_rows

LEAST = 2  # images to train on


def groups(features: NDArray[Any], radius: float) -> NDArray[np.int64]:
    """For each row the first row of its group, (n, d) -> (n,): rows within `radius` are linked.

    `radius` is a Euclidean distance, its end included, so that 0 links exact copies. Chains of
    links are one group (connected components), however far apart their ends are.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    near = Index(features).within(features, float(np.nextafter(radius, np.inf)))
    pairs = (np.ones(len(near.query), dtype=bool), (near.query, near.index))
    links = coo_array(pairs, shape=(len(features),) * 2)
    _, component = connected_components(links, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component]


def unique(index: NDArray[np.int64], features: NDArray[Any], radius: float) -> pd.DataFrame:
    """Which of the images with these numbers stay: the first of each group, (n,) and (n, d).

    One row per image: index, group (the number of the group's first image), kept (0 or 1).
    """
    group = index[groups(features, radius)]
    return pd.DataFrame({"index": index, "group": group, "kept": (group == index).astype(int)})


def deduplicated(
    table: pd.DataFrame,
    data: str,
    features: NDArray[Any],
    radius: float,
    *,
    taught: Iterable[str],
    where: str,
) -> pd.DataFrame:
    """What is left of a pool without near-duplicates: index, group, times, kept; a row per image.

    features (n, d) of all images; images within `radius` of each other are linked, and of every
    group the first is kept, once, however many `times` it was planted. Raises UserError, which
    begins with `where`, if a pool that the network is taught on keeps fewer than two images.
    Source: Carlini et al. 2023, section 7.1.
    """
    rows = rows_of_pool(table, data)
    found = unique(rows, features[rows], radius)
    found.insert(2, "times", table["times"].to_numpy()[rows])
    for pool in taught:
        left, before = len(trained_rows(table, pool, found)), len(rows_of_pool(table, pool))
        if left < LEAST:
            raise UserError(
                f"{where} leaves {left} of the {before} images of pool '{pool}', and a training "
                f"needs {LEAST}; raise the threshold, so that fewer images count as the same"
            )
    return found
