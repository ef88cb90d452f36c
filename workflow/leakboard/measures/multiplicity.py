"""Many comparisons at once: adjusted p values, ranks that are claimed, and groups that are not.

`worse` (k, k) bool says what was separated: worse[i, j] where i was shown to be worse than j.
Indices are those of the board's order.
"""

from itertools import islice
from string import ascii_lowercase

import networkx as nx
import numpy as np
from scipy.stats import norm

from leakboard.measures.measure import Array

MOST = len(ascii_lowercase)  # sets that are all listed


def holm(p_values: Array) -> Array:
    """The p values adjusted for their number, in the given order: (k,) -> (k,), in [0, 1].

    Rejecting those at most 0.05 keeps the chance of any false rejection at most 5 %. NaN is a test
    that was not made: it stays, and does not count. ValueError outside [0, 1]. Source: Holm 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise ValueError("p values must be a vector of numbers in [0, 1]")
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN comes last
    adjusted = np.full(p.size, np.nan)
    left = order.size - np.arange(order.size)
    adjusted[order] = np.maximum.accumulate(left * p[order]).clip(max=1)
    return adjusted


def detectable(se: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a two-sided test at alpha finds with this power.

    se: the standard error of the difference, in its units. (z_{1 - alpha / 2} + z_power) se.
    """
    return float((norm.isf(alpha / 2) + norm.ppf(power)) * se)


def rank_intervals(worse: Array) -> tuple[Array, Array]:
    """The best and the worst rank that each of k may claim, from 1 on: two (k,) int.

    1 + how many it was shown to be worse than, and k - how many were shown to be worse.
    """
    worse = _checked(worse)
    return 1 + worse.sum(1), len(worse) - worse.sum(0)


def tie_groups(worse: Array) -> list[str]:
    """The letters of each of k: two share one if and only if neither was shown to be worse.

    A compact letter display (Piepho 2004): a letter for each maximal set whose members are all
    tied, from a on by its first members. There may be 3^(k / 3) such sets: where there are more
    than MOST, only some are listed, such that each tied pair is in one, which keeps the rule.
    Where even these are more than there are letters, aa follows z, and spaces set labels apart.
    """
    worse = _checked(worse)
    tied = ~(worse | worse.T)
    np.fill_diagonal(tied, False)
    cliques = list(islice(nx.find_cliques(nx.from_numpy_array(tied)), MOST + 1))
    if len(cliques) > MOST:
        cliques = _covering(tied)
    ordered = sorted(sorted(clique) for clique in cliques)
    labels = [_label(i) for i in range(len(ordered))]
    between = "" if len(labels) <= len(ascii_lowercase) else " "
    return [
        between.join(label for label, clique in zip(labels, ordered, strict=True) if i in clique)
        for i in range(len(worse))
    ]


def _covering(tied: Array) -> list[list[int]]:
    """Maximal sets of tied indices, in board order, such that each tied pair is in one of them."""
    covered = np.eye(len(tied), dtype=bool)
    alone = [(i, i) for i in np.flatnonzero(~tied.any(1))]
    found = []
    for pair in [*alone, *np.argwhere(np.triu(tied))]:
        if covered[tuple(pair)] and pair[0] != pair[1]:
            continue
        clique = sorted({int(i) for i in pair})
        for i in np.flatnonzero(tied[clique].all(0)).tolist():
            if tied[i, clique].all():
                clique.append(i)
        covered[np.ix_(clique, clique)] = True
        found.append(clique)
    return found


def _label(i: int) -> str:
    """a, ..., z, aa, ab, ..., zz, aaa, ..."""
    label = ""
    i += 1
    while i:
        i, letter = divmod(i - 1, len(ascii_lowercase))
        label = ascii_lowercase[letter] + label
    return label


def _checked(worse: Array) -> Array:
    worse = np.asarray(worse)
    if worse.dtype != bool or worse.ndim != 2 or worse.shape[0] != worse.shape[1]:
        raise ValueError(f"worse is (k, k) bool, not {worse.dtype} of shape {worse.shape}")
    if (worse & worse.T).any():
        raise ValueError("nothing is worse than itself, and no two are worse than each other")
    return worse
