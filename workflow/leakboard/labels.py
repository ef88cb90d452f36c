"""Labels that a network learns in place of its images' classes: clusters, numbers, or dice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard.errors import UserError
from leakboard.randomness import derive, numpy_generator

Ints = NDArray[np.int64]


def relabeled(
    index: Ints,
    by: str,
    classes: int | None,
    features: NDArray[Any] | None,
    network: str,
) -> pd.DataFrame:
    """One row per image of a network's pool: its number `index`, and `label` in 0 ... classes - 1.

    by: "cluster" (k-means on features (n, d), one row per image), "image" (each image is a class of
    its own), or "chance" (uniform, each image's own dice). Raises UserError where there are fewer
    different images than clusters.
    """
    if by == "image":
        label = np.arange(len(index))
    elif by == "chance":
        assert classes is not None
        label = np.array(
            [numpy_generator("label", network, int(i)).integers(classes) for i in index]
        )
    else:
        assert features is not None
        assert classes is not None
        label = _clusters(features, classes, network)
    return pd.DataFrame({"index": index, "label": label})


def _clusters(features: NDArray[Any], classes: int, network: str) -> Ints:
    from sklearn.cluster import KMeans

    there = len(np.unique(features, axis=0))
    if classes > there:
        raise UserError(
            f"networks.{network}.labels.classes: {classes} clusters of {there} different images; "
            f"set it to at most {there}"
        )
    seed = derive("clusters", network) % 2**32
    return KMeans(classes, n_init=10, random_state=seed).fit_predict(features).astype(np.int64)
