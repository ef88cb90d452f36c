"""All rows about the copies in one set of pictures: how many, by chance?, fewer than `none`?

Measures of `similarity` and of `tests`, as CPSample reports them (Table 1, appendix E).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from leakboard.measures import similarity, tests
from leakboard.measures.measure import Array, Measure, binomial, finite
from leakboard.measures.tests import ROWS

FEWEST = 5  # copies of ordinary members from which a ratio to them can be told
Table = Mapping[str, Any]  # similarity, distance, runner_up, mean_k: (n,) each


def copies(
    table: Table,
    background: Array,
    *,
    extractor: str,
    thresholds: Sequence[float],
    calibration: float,
    alpha: float,
) -> list[Measure]:
    """The rates: see `similarity.copying`."""
    s, d1, d2, mean_k = (
        np.asarray(table[c]) for c in ("similarity", "distance", "runner_up", "mean_k")
    )
    return similarity.copying(
        s, d1, d2, mean_k, background, thresholds, extractor, calibration=calibration, alpha=alpha
    )


def compared(
    undefended: Table, defended: Table, background: Array, *, extractor: str, calibration: float
) -> list[Measure]:
    """Fisher's, McNemar's and the log-rank test that the defense makes fewer copies.

    Pictures above the calibrated threshold are copies; row i of both tables began from the same
    noise, which McNemar's test uses. The log-rank test is two-sided and the papers' form.
    """
    t = similarity.calibrated_threshold(background, calibration)
    a, b = (np.asarray(table["similarity"]) for table in (undefended, defended))
    found = {
        "fisher": tests.fisher(int((a > t).sum()), a.size, int((b > t).sum()), b.size),
        "mcnemar": tests.mcnemar(a > t, b > t),
        "logrank": tests.logrank(a, b, t),
    }
    notes = {
        "fisher": "one-sided: fewer copies than the undefended model; samples as independent",
        "mcnemar": "one-sided: fewer copies than the undefended model; paired by noise",
        "logrank": "two-sided; the form of CPSample's Table 1; prefer the other two",
    }
    return [
        _p(f"copy_{name}_p:{extractor}", test.p, a.size + b.size, notes[name])
        for name, test in found.items()
    ]


def duplicated(
    table: Mapping[str, Any],
    background: Array,
    members: Array,
    times: Array,
    *,
    extractor: str,
    calibration: float,
) -> list[Measure]:
    """Are members that were trained on several times copied more often? Rows where there are some.

    table: as for `copies`, with `neighbor` (n,), the number of the nearest member; members: (m,)
    numbers, times: (m,) int, how often an epoch showed each of them. `copies_of_duplicates`: the
    share of all pictures that are copies (above the calibrated threshold) of a member with times
    > 1. `copies_per_duplicate_ratio`: copies per such member over copies per other member; 1 means
    as often as others. Its interval, over pictures and not over members, is exact given the number
    of copies: c_d ~ Binomial(c_d + c_o, p), ratio = p / (1 - p) m_o / m_d. It is "unresolved" with
    fewer than FEWEST copies of other members, and NaN where there is nothing to divide by.
    """
    t = similarity.calibrated_threshold(background, calibration)
    s, nearest = np.asarray(table["similarity"]), np.asarray(table["neighbor"])
    planted = np.isin(nearest, members[times > 1])
    c_d, c_o = int((planted & (s > t)).sum()), int((~planted & (s > t)).sum())
    m_d, m_o = int((times > 1).sum()), int((times == 1).sum())
    note = f"{c_d} copies of {m_d} members trained on {times.max()} times, {c_o} of {m_o} others"
    share = similarity.rate(planted & (s > t))
    name = f"copies_of_duplicates:{extractor}"
    found = [Measure(name, *share, s.size, "share", "lower", note=note)]
    value = low = high = np.nan
    status = "unresolved" if c_o < FEWEST else "ok"
    if c_d + c_o and m_d and m_o:
        ends = (p / (1 - p) * m_o / m_d if p < 1 else np.inf for p in binomial(c_d, c_d + c_o))
        value, low, high = ends
    if not np.isfinite(value):
        value, high, status, note = np.nan, np.nan, "unresolved", f"nothing to divide by: {note}"
    name = f"copies_per_duplicate_ratio:{extractor}"
    found.append(Measure(name, value, low, high, c_d + c_o, "ratio", "lower", status, note))
    return found


def permuted(
    drawn: Array,
    audited: Array,
    trained: Array,
    rng: np.random.Generator,
    *,
    extractor: str,
    measure: str,
    permutations: int,
    subsample: int,
) -> list[Measure]:
    """The permutation test of CPSample's appendix E: nearer to members than to any images?

    drawn (n, d) and audited (m, d) features; trained (m,) bool says which audited images are
    members. The full set that subsets are drawn from is members and held-out images together.
    """
    for name, features in (("drawn", drawn), ("audited", audited)):
        for i in range(0, len(features), ROWS):
            finite(**{name: features[i : i + ROWS].ravel()})
    matrix = _Similarities(drawn, audited, measure)
    rows: list[Measure] = []
    for statistic, suffix in (("max", ""), ("mean", "_mean")):
        test = tests.permutation_test(
            matrix, trained, rng, min(subsample, len(drawn)), permutations, statistic
        )
        note = f"{statistic} of the similarities of {test.n} pictures to {trained.sum()} members"
        if statistic == "max":
            note += "; one copied image in a random set ties: blind to wholesale copying"
        rows.append(_p(f"permutation{suffix}_p:{extractor}", test.p, test.n, note))
        name = f"permutation{suffix}_quantile:{extractor}"
        note = "of the members' statistic among random sets of as many images (CPSample, Table 6)"
        rows.append(
            Measure(name, test.quantile, np.nan, np.nan, test.n, "share", "lower", note=note)
        )
    return rows


class _Similarities:
    """The matrix of similarities (n, m) of two feature sets, of which some rows are in memory."""

    def __init__(self, drawn: Array, audited: Array, measure: str) -> None:
        self.drawn, self.audited, self.measure = drawn, audited.astype(np.float64), measure
        self.shape = len(drawn), len(audited)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Array:
        return similarity.from_distance(cdist(self.drawn[rows], self.audited), self.measure)


def described(
    real: Array,
    altered: Array,
    nearest: Array,
    background: Table,
    *,
    extractor: str,
    measure: str,
    alpha: float,
) -> list[Measure]:
    """Does the extractor know copies from strangers? Rows about held-out images.

    real, altered (n, d): features of images and of altered copies of them; nearest (n,): which of
    the images each copy is nearest to; background: the images' nearest members. A good descriptor
    has a self-similarity far above its background, and finds each altered copy's source among all
    images; a threshold on nL2 is worth what it spares of them.
    """
    away = similarity.nl2(background["distance"], background["mean_k"], alpha)
    own = similarity.from_distance(np.linalg.norm(real - altered, axis=1), measure)
    n = len(real)
    found = np.asarray(nearest) == np.arange(n)
    return [
        _mean(f"self_similarity:{extractor}", own, "higher", "to an altered copy of itself"),
        _mean(
            f"background_similarity:{extractor}",
            np.asarray(background["similarity"]),
            "lower",
            "to the nearest member",
        ),
        *(
            Measure(
                f"background_nl2<{bound}:{extractor}",
                *similarity.rate(away < bound),
                n,
                "share",
                "lower",
                note="held-out images that are no copies and fall below it all the same",
            )
            for bound in (1.4, 1.6)
        ),
        Measure(
            f"copy_recall:{extractor}",
            *similarity.rate(found),
            n,
            "share",
            "higher",
            note=f"altered copies whose nearest of {n} images is their source",
        ),
    ]


def _mean(name: str, values: Array, better: str, note: str) -> Measure:
    half = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    mean = float(values.mean())
    ends = mean - half, mean + half
    return Measure(name, mean, *ends, values.size, "similarity", better, note=note)


def _p(name: str, p: float, n: int, note: str) -> Measure:
    return Measure(name, p, np.nan, np.nan, n, "p", "", note=note)
