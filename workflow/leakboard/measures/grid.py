"""Extraction over a grid of strengths lambda: the mean over them, and the best of them, honestly.

The best of many is chosen on the first half of the pictures and reported on the second: chosen and
reported on the same pictures it would look strong even where no lambda does anything (trap T15).
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import beta

from leakboard.measures.extraction import BANDS, Band, Table, columns, found, rows, unique, versus
from leakboard.measures.measure import Array, Measure

CHOSEN = ", chosen on the other half"  # in the notes of the best


def chosen(note: str) -> str:
    """The strength that the note of a `:best` row names, as `lambda = 6`; of other rows, ""."""
    strength, said, _ = note.partition(CHOSEN)
    return strength if said else ""


def average(values: Mapping[float, float], averaged: Band | None = None) -> float:
    """The mean of the values at the lambdas that `averaged_over` names.

    Source: SIDE, Table 1, the mean over lambda = 5, ..., 9.
    """
    return float(np.mean([values[strength] for strength in averaged_over(values, averaged)]))


def averaged_over(strengths: Mapping[float, object], averaged: Band | None = None) -> list[float]:
    """The lambdas in [low, high], ascending; all above 0 by default. ValueError if none."""
    low, high = averaged or (0, np.inf)
    chosen = sorted(s for s in strengths if s > 0 and low <= s <= high)
    if not chosen:
        raise ValueError(f"no lambda > 0 in [{low:g}, {high:g}] among {sorted(strengths)}")
    return chosen


def mean_share(hits: Array) -> tuple[float, float, float]:
    """The mean of (k, n) hits, k of each picture, and its 95 % interval: (value, low, high).

    The k hits of a picture come from one noise, so the picture is the unit. The interval is the
    exact one of a share, for as many coins as have the variance found between pictures (Korn &
    Graubard 1998): it holds where hits are rare, and where there are none it is that of n coins.
    """
    share = np.asarray(hits).mean(axis=0)
    value, n = float(share.mean()), float(share.size)
    variance = share.var(ddof=1) if share.size > 1 else 0.0
    coins = n
    if 0 < value < 1:
        most = float(np.size(hits))
        coins = min(most, n * value * (1 - value) / variance) if variance > 0 else most
    k = value * coins
    low = float(beta.ppf(0.025, k, coins - k + 1)) if value > 0 else 0.0
    high = float(beta.ppf(0.975, k + 1, coins - k)) if value < 1 else 1.0
    return value, low, high


def best(hits: Mapping[float, Array], neighbors: Mapping[float, Array]) -> float:
    """The lambda with the highest AMS on these pictures, ties by UMS, then the smallest lambda."""

    def merit(strength: float) -> tuple[int, int, float]:
        mine = hits[strength]
        return int(mine.sum()), unique(mine, neighbors[strength]), -strength

    return max(hits, key=merit)


def family(
    tables: Mapping[float, Table],
    background: Array,
    *,
    members: int,
    extractor: str,
    calibration: float,
    bands: Mapping[str, Band] = BANDS,
    averaged: Band | None = None,
    random: Table | None = None,
    rng: np.random.Generator | None = None,
    permutations: int = 999,
) -> list[Measure]:
    """All rows over a grid: `:mean` over lambdas, `:best` of them, `:best-random` at equal n.

    tables: lambda -> table, all of n >= 2 pictures from the same noise; lambda = 0 draws plainly
    and is left out. averaged: the lambdas [low, high] of the mean. The best lambda of each band is
    chosen on the first n // 2 pictures; its rows and those of the plain pictures, and the p values
    against them, are of the others. Other arguments: see `extraction`. ValueError: lengths differ.
    """
    grid = sorted(strength for strength in tables if strength > 0)
    over = averaged_over(tables, averaged)
    neighbors = {s: columns(tables[s])[1] for s in grid}
    sizes = {f"lambda = {s:g}": neighbors[s].size for s in grid}
    if random is not None:
        sizes["plain"] = columns(random)[1].size
        if rng is None:
            raise ValueError("the comparison with plain pictures swaps at random: give rng")
    if len(set(sizes.values())) > 1 or min(sizes.values()) < 2:
        raise ValueError(f"a grid needs as many pictures of each lambda, two or more, not {sizes}")
    hits = {s: found(tables[s], background, bands, calibration) for s in grid}
    plain = None if random is None else found(random, background, bands, calibration)
    n = neighbors[grid[0]].size
    first, second = slice(0, n // 2), slice(n // 2, n)
    out: list[Measure] = []
    for band in hits[grid[0]]:
        name = f"{band}:{extractor}"
        out += _means({s: hits[s][band] for s in over}, neighbors, name)
        dev = {s: hits[s][band][first] for s in grid}
        top = best(dev, {s: neighbors[s][first] for s in grid})
        note = f"lambda = {top:g}{CHOSEN}"
        mine, its = hits[top][band][second], neighbors[top][second]
        out += rows(mine, its, members, f"{name}:best", note)
        if random is not None and plain is not None and rng is not None:
            theirs, nearest = plain[band][second], columns(random)[1][second]
            same = "plain pictures from the same noise"
            out += rows(theirs, nearest, members, f"{name}:best-random", same)
            pair = (mine, theirs), (its, nearest)
            out += versus(*pair, rng, permutations, f"{name}:best", note)
    return out


def _means(
    hits: Mapping[float, Array], neighbors: Mapping[float, Array], name: str
) -> list[Measure]:
    shares = mean_share(np.stack([hits[s] for s in hits]))
    n = next(iter(hits.values())).size
    value = average({s: unique(hits[s], neighbors[s]) / n for s in hits})
    note = f"mean over lambda = {', '.join(f'{s:g}' for s in hits)}, {n} pictures each"
    none = "no interval: pictures drawn again from those at hand show fewer members"
    return [
        Measure(f"ams:{name}:mean", *shares, n, "share", "lower", note=note),
        Measure(
            f"ums:{name}:mean", value, np.nan, np.nan, n, "share", "lower", note=f"{note}; {none}"
        ),
    ]
