"""What every judge returns: a number with its interval, and the exact interval of a share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Array = NDArray[Any]  # of float64, unless a docstring says otherwise


@dataclass(frozen=True)
class Measure:
    """One number with its 95 % interval.

    n: images that the number rests on. better: "lower", "higher", "chance" (towards 0.5), or ""
    where neither is. status: "ok" or "unresolved" (too few images). An absent value or interval
    is NaN, and `note` says why.
    """

    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    unit: str
    better: str
    status: str = "ok"
    note: str = ""


def binomial(count: int, n: int, level: float = 0.95) -> tuple[float, float, float]:
    """The share count / n and its exact interval, as (value, low, high), each in [0, 1].

    0 of n has a high end above 0, n of n a low end below 1. ValueError if n < 1 or count > n.
    Source: Clopper & Pearson 1934.
    """
    interval = binomtest(int(count), int(n)).proportion_ci(level, method="exact")
    return count / n, float(interval.low), float(interval.high)


def rate(hits: Array) -> tuple[float, float, float]:
    """The share of hits and its exact 95 % interval, as (value, low, high).

    hits: (n,) bool, n >= 1, independent of each other.
    """
    hits = np.asarray(hits)
    if hits.dtype != bool or hits.ndim != 1 or not hits.size:
        raise ValueError(
            f"hits must be a non-empty boolean vector, not {hits.dtype} of shape {hits.shape}"
        )
    return binomial(int(hits.sum()), hits.size)


def finite(**arrays: Array) -> list[Array]:
    """The named arrays as float64 vectors. ValueError, by name: not a vector, empty, NaN or inf."""
    vectors = [np.asarray(a, dtype=np.float64) for a in arrays.values()]
    for name, vector in zip(arrays, vectors, strict=True):
        if vector.ndim != 1 or not vector.size:
            raise ValueError(f"{name} must be a non-empty vector, not of shape {vector.shape}")
        if not np.isfinite(vector).all():
            raise ValueError(f"{name} holds {np.sum(~np.isfinite(vector))} NaN or infinite values")
    return vectors
