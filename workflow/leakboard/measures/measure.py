"""What every judge returns: a number with its interval, and the exact interval of a share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

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
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"{count} of {n} is no share")
    tail = (1 - level) / 2
    low = betaincinv(count, n - count + 1, tail) if count > 0 else 0.0
    high = betaincinv(count + 1, n - count, 1 - tail) if count < n else 1.0
    return count / n, float(low), float(high)


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


def checked(scores: Array, members: Array) -> tuple[Array, Array]:
    """The scores (..., n) as float64 and the members (n,) bool; ValueError if they are not.

    It names NaN or infinite scores, lengths that differ, and an empty side.
    """
    scores, members = np.asarray(scores, dtype=np.float64), np.asarray(members)
    if members.dtype != bool or members.ndim != 1:
        raise ValueError(
            f"members must be a boolean vector, not {members.dtype} of shape {members.shape}"
        )
    if scores.ndim == 0 or scores.shape[-1] != members.size:
        raise ValueError(f"scores of shape {scores.shape} do not fit {members.size} members")
    if members.all() or not members.any():
        raise ValueError(
            f"both members and strangers are needed, not {members.sum()} members "
            f"of {members.size} images"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.sum(~np.isfinite(scores))} scores are NaN or infinite")
    return scores, members
