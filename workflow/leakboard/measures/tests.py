"""Statistical tests. The unit is always the image: average its draws before testing (trap T9).

`a` is the undefended sampler, `b` the defended one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from leakboard.measures.measure import Array, finite

ROWS = 256  # of a matrix of similarities, in memory at once


@dataclass(frozen=True)
class Result:
    """A test's statistic, its p value in [0, 1], and the number n of images it rests on."""

    statistic: float
    p: float
    n: int


@dataclass(frozen=True)
class ZResult(Result):
    """Also the effect d: the difference of means in units of the pooled standard deviation."""

    effect: float


@dataclass(frozen=True)
class PermutationResult(Result):
    """Also the quantile of T_0: the share of the T_i that lie strictly below it."""

    quantile: float


def z_test(member_loss: Array, heldout_loss: Array) -> ZResult:
    """The one-sided z test that held-out images have the higher mean loss: z > 0 is overfitting.

    member_loss: (n_m,), heldout_loss: (n_h,), one value per image, at least two each.
    z = (mean_h - mean_m) / sqrt(s_h^2 / n_h + s_m^2 / n_m), p = 1 - Phi(z). Where nothing varies,
    equal means give z = 0, p = 0.5, and unequal means z = +-inf. A large p is not privacy.
    Source: CPSample, section 4.3 and Table 3 (whose null is worded the wrong way round).
    """
    member, heldout = finite(member_loss=member_loss, heldout_loss=heldout_loss)
    n_m, n_h = member.size, heldout.size
    if min(n_m, n_h) < 2:
        raise ValueError(f"two images a side at least, not {n_m} members and {n_h} held out")
    member, heldout = member - member[0], heldout - member[0]  # equal constants become exact zeros
    s2_m, s2_h = member.var(ddof=1), heldout.var(ddof=1)
    difference = heldout.mean() - member.mean()
    pooled = ((n_m - 1) * s2_m + (n_h - 1) * s2_h) / (n_m + n_h - 2)
    z = _ratio(difference, np.sqrt(s2_h / n_h + s2_m / n_m))
    return ZResult(z, float(stats.norm.sf(z)), n_m + n_h, _ratio(difference, np.sqrt(pooled)))


def fisher(copies_a: int, n_a: int, copies_b: int, n_b: int) -> Result:
    """Fisher's exact one-sided test that `b` copies less often than `a`, from independent samples.

    statistic: the rate of a minus the rate of b. ValueError if copies exceed the samples.
    """
    if not (0 <= copies_a <= n_a and 0 <= copies_b <= n_b and n_a and n_b):
        raise ValueError(f"impossible counts: {copies_a} of {n_a} and {copies_b} of {n_b}")
    table = [[copies_a, n_a - copies_a], [copies_b, n_b - copies_b]]
    p = stats.fisher_exact(table, alternative="greater").pvalue
    return Result(copies_a / n_a - copies_b / n_b, float(p), n_a + n_b)


def mcnemar(copied_a: Array, copied_b: Array) -> Result:
    """McNemar's exact one-sided test that `b` copies less often than `a` from the same noise.

    copied_a, copied_b: (n,) bool, paired by noise. statistic: the rate of a minus the rate of b.
    With no pair in disagreement, p = 1.
    """
    a, b = np.asarray(copied_a), np.asarray(copied_b)
    if a.dtype != bool or b.dtype != bool or a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ValueError(f"two boolean vectors of one length, not {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    p = stats.binom.sf(only_a - 1, only_a + only_b, 0.5)  # P(Bin(n, 1/2) >= only_a)
    return Result((only_a - only_b) / a.size, float(p), a.size)


def logrank(similarity_a: Array, similarity_b: Array, threshold: float) -> Result:
    """The log-rank chi-square (1 degree of freedom) between the copies of `a` and `b`; two-sided p.

    similarity_a: (n_a,), similarity_b: (n_b,). The dissimilarity 1 - s takes the place of time:
    s > threshold is an event, the rest are censored at 1 - threshold. With no event, 0 and p = 1.
    Source: CPSample, Table 1, as far as it can be read; prefer `fisher` or `mcnemar`.
    """
    a, b = finite(similarity_a=similarity_a, similarity_b=similarity_b)
    with np.errstate(invalid="ignore"):
        found = stats.logrank(*(_censored(s, threshold) for s in (a, b)))
    if np.isnan(found.statistic):  # 0 / 0: no event, or all of them at one and the same time
        return Result(0.0, 1.0, a.size + b.size)
    return Result(float(found.statistic) ** 2, float(found.pvalue), a.size + b.size)


def permutation_test(
    similarity: Any,
    trained: Array,
    rng: np.random.Generator,
    subsample: int,
    resamples: int = 999,
    statistic: str = "max",
) -> PermutationResult:
    """The test that samples lie closer to the trained images than to as many random ones.

    similarity: (n_samples, m_images), or what has its shape and makes some of its rows when it is
    sliced; trained: (m,) bool, some but not all. T_0 is taken over
    `subsample` random samples and the trained images, each T_i over as many fresh samples and a
    random subset of all m images. "max" is the paper's statistic, and one duplicate decides it;
    "mean", over samples of each one's maximum, has more power.
    p = (1 + #{T_i >= T_0}) / (resamples + 1), never 0. Memory: ROWS rows at a time.
    Source: CPSample, appendix E (whose Table 6 prints quantiles of T_0, not p values).
    """
    shape, trained = tuple(np.shape(similarity)), np.asarray(trained)
    if len(shape) != 2 or trained.dtype != bool or trained.shape != shape[1:]:
        raise ValueError(
            f"similarity (n, m) and trained (m,) bool, not {shape} and {trained.shape}"
        )
    if trained.all() or not trained.any():
        raise ValueError("some but not all of the images must be trained on")
    n, m = shape
    if not 1 <= subsample <= n or resamples < 1:
        raise ValueError(f"cannot draw {subsample} of {n} samples {resamples} times")
    if statistic not in ("max", "mean"):
        raise ValueError(f'statistic is "max" or "mean", not {statistic!r}')

    size = int(trained.sum())
    images, samples = np.zeros((resamples + 1, m), dtype=bool), []
    for i, chosen in enumerate(images):
        chosen[rng.choice(m, size, replace=False) if i else trained] = True
        samples.append(rng.choice(n, subsample, replace=False))
    nearest = _nearest(similarity, samples, images)
    T_0, *T_i = (float(some.max() if statistic == "max" else some.mean()) for some in nearest)
    if not np.isfinite([T_0, *T_i]).all():
        raise ValueError("similarity holds NaN or infinite values")
    p = (1 + np.sum(np.array(T_i) >= T_0)) / (resamples + 1)
    return PermutationResult(T_0, float(p), subsample, float(np.mean(np.array(T_i) < T_0)))


def _nearest(similarity: Any, samples: list[Array], images: Array) -> Array:
    """Of each draw's samples the similarity to the nearest of its images, (draws, subsample)."""
    found = np.empty((len(samples), len(samples[0])))
    for start in range(0, len(similarity), ROWS):
        rows = np.asarray(similarity[start : start + ROWS])
        for some, chosen, into in zip(samples, images, found, strict=True):
            here = np.flatnonzero((some >= start) & (some < start + len(rows)))
            if len(here):
                into[here] = rows[some[here] - start][:, chosen].max(axis=1)
    return found


def _censored(similarity: Array, threshold: float) -> stats.CensoredData:
    event = similarity > threshold
    return stats.CensoredData(1 - similarity[event], right=np.full((~event).sum(), 1 - threshold))


def _ratio(difference: float, spread: float) -> float:
    """difference / spread, with the limits 0 / 0 = 0 and x / 0 = +-inf."""
    if spread == 0:
        return float(np.sign(difference) * np.inf) if difference else 0.0
    return float(difference / spread)
