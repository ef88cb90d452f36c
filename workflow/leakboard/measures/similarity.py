"""Similarity measures: how many drawn pictures are copies of training images.

They read the nearest-neighbor search: for each of n samples the similarity to its nearest
training image (higher is more alike, 1 is identical), the distances d_1 to it and d_2 to the
runner-up, and the mean of the k smallest distances, d_1 included.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from leakboard.measures.measure import Array, Measure, finite, rate

__all__ = ["calibrated_threshold", "copying", "memorization_ratio", "memorized", "nl2", "rate"]
TOPS = (0.001, 0.005, 0.01, 0.05, 0.1)  # shares of SIDE's Table 2
BLOCK = 16  # resamples sorted at once


def nl2(distance: Array, mean_k: Array, alpha: float = 0.5) -> Array:
    """The normalized l2 distance d_1 / (alpha mean_k), (n,), in [0, 1 / alpha]; lower is a copy.

    distance: d_1 (n,); mean_k: (n,), d_1 among the k. 0 / 0, a sample identical to k copies of
    one image, is 0. ValueError if a mean is below d_1: then they are not of the same search.
    Source: Carlini et al. 2023; AMG, equation 8.
    """
    d_1, mean_k = _distances(distance=distance, mean_k=mean_k)
    if (mean_k < d_1 * (1 - 1e-5)).any():
        raise ValueError("a mean of the k smallest distances is smaller than the smallest")
    ratio = np.divide(d_1, mean_k, out=np.zeros_like(d_1), where=d_1 > 0)
    return np.minimum(ratio, 1) / alpha  # the minimum only undoes the rounding of the mean


def memorized(distance: Array, runner_up: Array, below: float = 1 / 3) -> Array:
    """Which samples lie much closer to one training image than to any other: (n,) bool.

    distance: d_1 (n,), runner_up: d_2 (n,). A copy has d_1 / d_2 < below, or d_1 = 0: an exact
    copy of a duplicated image (0 / 0) counts. A near copy of a duplicated image has d_1 / d_2
    near 1 and is missed, so the reference must be searched without its duplicates.
    Source: Gu et al. 2023 (On Memorization in Diffusion Models).
    """
    d_1, d_2 = _distances(distance=distance, runner_up=runner_up)
    if (d_2 < d_1).any():
        raise ValueError("a runner-up is nearer than the nearest neighbor")
    return (d_1 == 0) | (d_1 < below * d_2)


def memorization_ratio(distance: Array, runner_up: Array, below: float = 1 / 3) -> float:
    """The share of `memorized` samples, in [0, 1]; duplicates in the reference: see there."""
    return float(memorized(distance, runner_up, below).mean())


def from_distance(distance: Array, measure: str) -> Array:
    """The similarity at a distance, (n,): higher is more alike, 1 is identical.

    measure: "cosine" (the cosine of unit vectors that far apart), "rms" (1 - distance), or "l2"
    (- distance, 0 is identical).
    """
    if measure == "cosine":
        return 1 - distance**2 / 2
    if measure not in ("rms", "l2"):
        raise ValueError(f'a measure is "cosine", "rms" or "l2", not {measure!r}')
    return 1 - distance if measure == "rms" else -distance


def distance_at(similarity: float, measure: str) -> float:
    """The distance at a similarity, the inverse of `from_distance`.

    ValueError beyond identical (1, or 0 for "l2") or, of cosines, below -1.
    """
    highest = 0 if measure == "l2" else 1
    if similarity > highest or (measure == "cosine" and similarity < -1):
        raise ValueError(f"no distance has the similarity {similarity} ({measure})")
    if measure == "cosine":
        return float(np.sqrt(2 * (1 - similarity)))
    if measure not in ("rms", "l2"):
        raise ValueError(f'a measure is "cosine", "rms" or "l2", not {measure!r}')
    return highest - similarity


def calibrated_threshold(background: Array, rate: float = 0.001) -> float:
    """The smallest t such that at most a share `rate` of the background has similarity > t.

    background: (n,), similarity of images never trained on to their nearest training image.
    Below 1 / rate images it is the background's maximum.
    """
    (background,) = finite(background=background)
    if not 0 <= rate < 1:
        raise ValueError(f"a background rate lies in [0, 1), not at {rate}")
    above = int(background.size * rate + 1e-9)  # whatever the rounding of the product
    return float(np.sort(background)[-1 - above])


def copying(
    similarity: Array,
    distance: Array,
    runner_up: Array,
    mean_k: Array,
    background: Array,
    paper_thresholds: Sequence[float],
    extractor: str,
    *,
    calibration: float = 0.001,
    alpha: float = 0.5,
) -> list[Measure]:
    """All copying measures of one set of samples, under one extractor.

    similarity, distance, runner_up, mean_k: (n,); background: (n_b,), see `calibrated_threshold`.
    A copy has similarity strictly above the threshold: the calibrated one, then each of
    paper_thresholds, which mean something only for the extractor of that paper.
    """
    (s,) = finite(similarity=similarity)
    for name, array in (("distance", distance), ("runner_up", runner_up), ("mean_k", mean_k)):
        if np.shape(array) != s.shape:
            raise ValueError(f"{name} is {np.shape(array)}, but similarity {s.shape}")
    t = calibrated_threshold(background, calibration)
    beyond = int(np.sum(np.asarray(background, dtype=np.float64) > t))
    d = nl2(distance, mean_k, alpha)
    shares = {
        "copy_rate": s > t,
        **{f"copy_rate>{paper:g}": s > paper for paper in paper_thresholds},
        **{f"nl2<{bound:g}": d < bound for bound in (1.4, 1.6)},
        "memorization_ratio": memorized(distance, runner_up),
    }
    notes = {
        "copy_rate": f"similarity > {t:.6g}, which {beyond} of {np.size(background)} held-out "
        f"images exceed ({beyond / np.size(background):.3g})"
    }
    found = [
        Measure(
            f"{name}:{extractor}",
            *rate(hits),
            s.size,
            "share",
            "lower",
            note=notes.get(name, ""),
        )
        for name, hits in shares.items()
    ]
    p95 = (float(np.quantile(s, 0.95)), *_quantile_interval(s, 0.95, max(1.0, s.max())))
    found.append(Measure(f"similarity_p95:{extractor}", *p95, s.size, "similarity", "lower"))
    note = "no interval: the maximum grows with the number of samples"
    top = (float(s.max()), np.nan, np.nan)
    found.append(
        Measure(f"similarity_max:{extractor}", *top, s.size, "similarity", "lower", note=note)
    )
    # AMG's Top5% and Top1 are those of -nL2, printed as nL2: its 5 % quantile and its minimum.
    value, (low, high) = float(np.quantile(d, 0.05)), _quantile_interval(-d, 0.95, 0.0)
    top5 = (value, -high, -low)
    found.append(Measure(f"nl2_top5%:{extractor}", *top5, s.size, "nL2", "higher"))
    note = "no interval: the minimum falls with the number of samples"
    least = (float(d.min()), np.nan, np.nan)
    found.append(Measure(f"nl2_top1:{extractor}", *least, s.size, "nL2", "higher", note=note))
    return found


def tops(
    similarity: Array, extractor: str, rng: np.random.Generator, resamples: int = 1000
) -> list[Measure]:
    """How similar the most similar pictures are: the mean of the top 0.1, 0.5, 1, 5 and 10 %.

    similarity: (n,), of which the ceil(share n) largest are averaged; the interval is a percentile
    bootstrap over pictures. Source: SIDE, section 3.4 and Table 2 (a mean, not a quantile: AMG's
    Top5% and the `similarity_p95` here are quantiles).
    """
    (s,) = finite(similarity=similarity)
    counts = {share: int(np.ceil(share * s.size - 1e-9)) for share in TOPS}
    drawn = np.empty((resamples, max(counts.values())))
    for start in range(0, resamples, BLOCK):  # memory: one block, and the top of all
        part = drawn[start : start + BLOCK]
        part[:] = np.sort(rng.choice(s, size=(len(part), s.size)), axis=1)[:, -part.shape[1] :]
    found = []
    for share, k in counts.items():
        value = float(np.sort(s)[-k:].mean())
        low, high = np.quantile(drawn[:, -k:].mean(1), [0.025, 0.975])
        ends = min(float(low), value), max(float(high), value)
        name, note = f"similarity_top{100 * share:g}%:{extractor}", f"mean of {k} of {s.size}"
        found.append(Measure(name, value, *ends, s.size, "similarity", "lower", note=note))
    return found


def _quantile_interval(
    similarity: Array, q: float, identical: float, level: float = 0.95
) -> tuple[float, float]:
    """The exact interval of a quantile: two order statistics, with ranks from Binomial(n, q).

    Where the sample is too small for an upper one, `identical`; for a lower one, NaN.
    """
    n = similarity.size
    low, high = binom.ppf([(1 - level) / 2, (1 + level) / 2], n, q).astype(int)
    ranked = np.array([np.nan, *np.sort(similarity), identical])
    return float(ranked[low]), float(ranked[high + 1])


def _distances(**arrays: Array) -> list[Array]:
    vectors = finite(**arrays)
    if len({v.size for v in vectors}) > 1:
        raise ValueError(f"{' and '.join(arrays)} differ in length")
    if any((v < 0).any() for v in vectors):
        raise ValueError(f"{' or '.join(arrays)} is negative")
    return vectors
