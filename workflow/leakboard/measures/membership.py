"""Membership measures: how well a score tells members (trained on) from strangers (held out).

A higher score means "more likely a member". Scores are compared as they are: never flipped,
squashed, or put on a grid, so every measure is unchanged by any increasing transform. Statistics
of `scores` (..., n) work along the last axis, which is what lets `bootstrap` be one array pass.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.stats import rankdata

from leakboard.measures.measure import Array, Measure, binomial, rate

MIN_FALSE_POSITIVES = 5  # fewer strangers above the threshold say nothing about its rate
BLOCK = 2**22  # scores held at once while resampling

Statistic = Callable[[Array, Array], Array]


def roc(scores: Array, members: Array) -> tuple[Array, Array, Array]:
    """The exact ROC as (fpr, tpr, thresholds), one point per distinct score, from (0, 0) to (1, 1).

    scores: (n,), members: (n,) bool. thresholds fall, the first is infinity.
    """
    from sklearn.metrics import roc_curve

    scores, members = _checked(scores, members)
    return roc_curve(members, scores, drop_intermediate=False)


def auc(scores: Array, members: Array) -> Array:
    """The probability that a member outscores a stranger, a tie counting half; 0.5 is chance.

    scores: (..., n), members: (n,) bool -> (...). ValueError on NaN or infinite scores, on
    lengths that differ, and on an empty class. Source: Mann & Whitney 1947, U / (n_m n_s).
    """
    scores, members = _checked(scores, members)
    n_m, n_s = members.sum(), (~members).sum()
    ranks = rankdata(scores, axis=-1)[..., members]
    return (ranks.sum(-1) - n_m * (n_m + 1) / 2) / (n_m * n_s)


def resolvable(n_strangers: int, fpr: float) -> bool:
    """Whether a false positive rate of `fpr` is at least MIN_FALSE_POSITIVES strangers."""
    return _false_positives(n_strangers, fpr) >= MIN_FALSE_POSITIVES


def threshold_at_fpr(scores: Array, members: Array, fpr: float) -> Array:
    """The lowest t such that "score >= t" accepts at most a share `fpr` of the strangers.

    scores: (..., n), members: (n,) bool -> (...): one float above the highest rejected stranger.
    """
    scores, members = _checked(scores, members)
    strangers = scores[..., ~members]
    rejected = strangers.shape[-1] - _false_positives(strangers.shape[-1], fpr)
    if rejected == 0:
        return np.full(scores.shape[:-1], -np.inf)[()]
    highest = np.partition(strangers, rejected - 1, axis=-1)[..., rejected - 1]
    return np.nextafter(highest, np.inf)


def best_threshold(scores: Array, members: Array) -> Array:
    """The score t at which "score >= t" has the greatest TPR - FPR; the highest such t.

    scores: (..., n), members: (n,) bool -> (...).
    """
    scores, members = _checked(scores, members)
    order = np.argsort(-scores, axis=-1)
    ranked = np.take_along_axis(scores, order, -1)
    # n_m n_s (TPR - FPR), in whole numbers
    gain = np.cumsum(np.where(members[order], (~members).sum(), -members.sum()), axis=-1)
    # a threshold accepts all of a tie or none of it
    tied = ranked[..., :-1] == ranked[..., 1:]
    gain[..., :-1][tied] = np.iinfo(gain.dtype).min
    return np.take_along_axis(ranked, gain.argmax(-1)[..., None], -1)[..., 0]


def rates(scores: Array, members: Array, threshold: Array | float) -> tuple[Array, Array]:
    """The (TPR, FPR) of the rule "score >= threshold".

    scores: (..., n), members: (n,) bool, threshold: (...) -> two (...), in [0, 1].
    """
    scores, members = _checked(scores, members)
    accepted = scores >= np.asarray(threshold)[..., None]
    return accepted[..., members].mean(-1), accepted[..., ~members].mean(-1)


def tpr_at_fpr(scores: Array, members: Array, fpr: float) -> Array:
    """The highest TPR over all thresholds whose FPR, on these strangers, is at most `fpr`.

    scores: (..., n), members: (n,) bool -> (...), in [0, 1]. Source: Carlini et al. 2022 (LiRA).
    """
    return rates(scores, members, threshold_at_fpr(scores, members, fpr))[0]


def asr(scores: Array, members: Array) -> Array:
    """The attack success rate: the highest (TPR + 1 - FPR) / 2 over all thresholds.

    scores: (..., n), members: (n,) bool -> (...), in [0.5, 1]. Source: Duan et al. 2023 (SecMI).
    """
    tpr, fpr = rates(scores, members, best_threshold(scores, members))
    return (tpr + 1 - fpr) / 2


def bootstrap(
    statistic: Statistic,
    scores: Array,
    members: Array,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """The percentile interval (low, high) of a statistic in [0, 1], over images; holds its value.

    scores: (n,), members: (n,) bool. Members and strangers are resampled separately, and each
    resample chooses its own threshold. statistic: (resamples, n), (n,) -> (resamples,).
    Where the value is 0 or 1, or no resample differs, the bootstrap is blind, and the interval
    is widened to Clopper-Pearson's for min(n_m, n_s) trials: disjoint pairs of a member and a
    stranger are independent, and at AUC = 1 every one is a success.
    """
    scores, members = _checked(scores, members)
    inside, outside = scores[members], scores[~members]
    is_member = np.arange(scores.size) < inside.size
    rows = max(1, BLOCK // scores.size)
    values = []
    for start in range(0, resamples, rows):
        b = min(rows, resamples - start)
        drawn = [side[rng.integers(side.size, size=(b, side.size))] for side in (inside, outside)]
        values.append(statistic(np.concatenate(drawn, axis=-1), is_member))
    value = float(statistic(scores, members))
    low, high = np.quantile(np.concatenate(values), [(1 - level) / 2, (1 + level) / 2])
    low, high = min(low, value), max(high, value)
    if value in (0, 1) or low == high:
        pairs = min(inside.size, outside.size)
        _, exact_low, exact_high = binomial(round(value * pairs), pairs, level)
        low, high = min(low, exact_low), max(high, exact_high)
    return float(low), float(high)


def membership(
    dev: tuple[Array, Array], test: tuple[Array, Array], rng: np.random.Generator
) -> list[Measure]:
    """All membership measures of one attack, taken on the test half of the audited images.

    dev, test: (scores (n,), members (n,) bool); dev only sets the thresholds of the measures
    named `:dev-threshold`. A rate that too few strangers can show is NaN and "unresolved".
    """
    dev_scores, dev_members = _checked(*dev)
    scores, members = _checked(*test)
    n, n_m, n_s = scores.size, int(members.sum()), int((~members).sum())

    def resampled(statistic: Statistic) -> tuple[float, float, float]:
        value = float(statistic(scores, members))
        return value, *bootstrap(statistic, scores, members, rng)

    found = [Measure("auc", *resampled(auc), n, "probability", "chance")]
    for fpr in (0.01, 0.001):
        name = f"tpr@{100 * fpr:g}%fpr"
        if resolvable(n_s, fpr):
            share = resampled(partial(tpr_at_fpr, fpr=fpr))
            found.append(Measure(name, *share, n, "share", "lower"))
        else:
            found.append(_unresolved(name, n, n_s, fpr, "lower"))

    value, low, high = resampled(asr)
    note = "optimistic: the threshold is chosen on the same images"
    found.append(Measure("asr", value, max(low, 0.5), high, n, "share", "chance", note=note))

    names = ("tpr@1%fpr:dev-threshold", n_m, "lower"), ("fpr:dev-threshold", n_s, "")
    n_dev = int((~dev_members).sum())
    if resolvable(n_dev, 0.01):
        accepted = scores >= threshold_at_fpr(dev_scores, dev_members, 0.01)
        for (name, size, better), pool in zip(names, (members, ~members), strict=True):
            found.append(Measure(name, *rate(accepted[pool]), size, "share", better))
    else:
        found += [_unresolved(name, size, n_dev, 0.01, better) for name, size, better in names]

    accepted = scores >= best_threshold(dev_scores, dev_members)
    balanced = _balanced_accuracy(accepted[members], accepted[~members])
    found.append(Measure("asr:dev-threshold", *balanced, n, "share", "chance"))
    return found


def _balanced_accuracy(inside: Array, outside: Array) -> tuple[float, float, float]:
    """(TPR + 1 - FPR) / 2 at a fixed threshold, with the square-and-add interval (Newcombe 1998).

    inside, outside: bool, which members and which strangers are accepted.
    """
    (tpr, tpr_low, tpr_high), (fpr, fpr_low, fpr_high) = rate(inside), rate(outside)
    value = (tpr + 1 - fpr) / 2
    low = value - np.hypot(tpr - tpr_low, fpr_high - fpr) / 2
    return value, float(low), float(value + np.hypot(tpr_high - tpr, fpr - fpr_low) / 2)


def _unresolved(name: str, n: int, n_strangers: int, fpr: float, better: str) -> Measure:
    note = (
        f"{100 * fpr:g} % of {n_strangers} strangers is {n_strangers * fpr:g} false positives; "
        f"at least {MIN_FALSE_POSITIVES} are needed"
    )
    return Measure(name, np.nan, np.nan, np.nan, n, "share", better, "unresolved", note)


def _false_positives(n_strangers: int, fpr: float) -> int:
    """The largest k with k / n_strangers <= fpr, whatever the rounding of the product."""
    if not 0 <= fpr <= 1:
        raise ValueError(f"a false positive rate lies in [0, 1], not at {fpr}")
    return int(n_strangers * fpr + 1e-9)


def _checked(scores: Array, members: Array) -> tuple[Array, Array]:
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
