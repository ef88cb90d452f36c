"""Membership measures: how well a score tells members (trained on) from strangers (held out).

A higher score means "more likely a member". Scores are compared as they are: never flipped,
squashed, or put on a grid, so every measure is unchanged by any increasing transform. Statistics
of `scores` (..., n) work along the last axis.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from leakboard.measures.bootstrap import Resamples, auc_interval, best_of, blind_ends
from leakboard.measures.measure import Array, Measure, checked, rate

MIN_FALSE_POSITIVES = 5  # fewer strangers above the threshold say nothing about its rate
FPRS = (0.01, 0.001)
OPTIMISTIC = "optimistic: the threshold is chosen on the same images"


def roc(scores: Array, members: Array) -> tuple[Array, Array, Array]:
    """The exact ROC as (fpr, tpr, thresholds), one point per distinct score, from (0, 0) to (1, 1).

    scores: (n,), members: (n,) bool. thresholds fall, the first is infinity.
    """
    scores, members = checked(scores, members)
    order = np.argsort(-scores)
    ranked = scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), scores.size - 1)  # of each tie
    inside = np.append(0, np.cumsum(members[order])[last])
    accepted = np.append(0, last + 1)
    tpr, fpr = inside / members.sum(), (accepted - inside) / (~members).sum()
    return fpr, tpr, np.append(np.inf, ranked[last])


def auc(scores: Array, members: Array) -> Array:
    """The probability that a member outscores a stranger, a tie counting half; 0.5 is chance.

    scores: (..., n), members: (n,) bool -> (...). ValueError on NaN or infinite scores, on
    lengths that differ, and on an empty class. Source: Mann & Whitney 1947, U / (n_m n_s).
    """
    scores, members = checked(scores, members)
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
    scores, members = checked(scores, members)
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
    scores, members = checked(scores, members)
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
    scores, members = checked(scores, members)
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


def roc_band(
    scores: Array,
    members: Array,
    fprs: Sequence[float] | Array,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 2000,
) -> tuple[Array, Array, Array]:
    """The highest TPR at each of some false positive rates, with intervals: (tpr, low, high).

    scores: (n,), members: (n,) bool, fprs: (k,) in [0, 1] -> three (k,), as in `tpr_at_fpr`;
    pointwise in fprs. How many of the n_s strangers lie above the threshold of true rate f is
    Binomial(n_s, f), whatever the scores are. It is drawn, which places that threshold between two
    strangers, and as likely above as below each member found there. Clopper-Pearson's two beta
    distributions say what the TPR at that place may be, and their quantiles over all draws are the
    ends. So they hold the threshold's own uncertainty, are Clopper & Pearson's where there is none,
    and need no exception at a TPR of 0 or 1. They cover at least as often as they say, where a
    bootstrap that moves the threshold falls to 92 % at five false positives.
    """
    scores, members = checked(scores, members)
    rates_ = np.asarray(fprs, dtype=np.float64)
    inside, outside = np.sort(scores[members]), np.sort(scores[~members])[::-1]
    n_m, n_s = inside.size, outside.size
    allowed = np.array([_false_positives(n_s, float(f)) for f in rates_], dtype=int)
    above = n_m - np.searchsorted(inside, outside, "right")  # members above the i-th stranger
    fewest, most = np.append(0, above), np.append(above, n_m)  # with j strangers accepted
    j = rng.binomial(n_s, rates_[:, None], size=(rates_.size, draws))
    accepted = rng.integers(fewest[j], most[j], endpoint=True)
    missed = n_m - accepted
    lower = np.where(accepted > 0, rng.beta(np.maximum(accepted, 1), missed + 1), 0.0)
    upper = np.where(missed > 0, rng.beta(accepted + 1, np.maximum(missed, 1)), 1.0)
    tpr, tail = most[allowed] / n_m, (1 - level) / 2
    low, high = np.quantile(lower, tail, axis=1), np.quantile(upper, 1 - tail, axis=1)
    return tpr, np.minimum(low, tpr), np.maximum(high, tpr)


def asr_interval(
    scores: Array, members: Array, resamples: Resamples, level: float = 0.95
) -> tuple[float, float, float]:
    """The ASR and its bootstrap interval, as (value, low, high): see `bootstrap.best_of`.

    scores: (n,), members: (n,) bool. It speaks of the best threshold there is, which is not known
    to an attacker: that of `asr:dev-threshold` is. Where nothing varies, see `blind_ends`.
    """
    resamples.fits(members)
    fpr, tpr, _ = roc(scores, members)
    value = float(1 + (tpr - fpr).max()) / 2
    low, high = best_of(tpr, fpr, resamples, level)
    if value in (0.5, 1):
        low, high = blind_ends(value, members, level)
    return value, max(min(low, value), 0.5), min(max(high, value), 1.0)


def at_low_fprs(scores: Array, members: Array, resamples: Resamples) -> list[Measure]:
    """The rows `tpr@1%fpr` and `tpr@0.1%fpr`; "unresolved" where too few strangers can show it.

    scores: (n,), members: (n,) bool.
    """
    n, n_s = members.size, int((~members).sum())
    fprs = [fpr for fpr in FPRS if resolvable(n_s, fpr)]
    shares = zip(*roc_band(scores, members, fprs, resamples.generator()), strict=True)
    shown = dict(zip(fprs, shares, strict=True))
    rows = []
    for fpr in FPRS:
        name = f"tpr@{100 * fpr:g}%fpr"
        if fpr in shown:
            tpr, low, high = (float(x) for x in shown[fpr])
            rows.append(Measure(name, tpr, low, high, n, "share", "lower"))
        else:
            rows.append(_unresolved(name, n, n_s, fpr, "lower"))
    return rows


def at_dev_fpr(dev: tuple[Array, Array], test: tuple[Array, Array]) -> list[Measure]:
    """The rows `tpr@1%fpr:dev-threshold` and `fpr:dev-threshold`, the rate that it really has.

    dev, test: (scores (n,), members (n,) bool). Exact intervals: the threshold is not of test.
    """
    scores, members = test
    names = ("tpr@1%fpr:dev-threshold", members, "lower"), ("fpr:dev-threshold", ~members, "")
    n_dev = int((~dev[1]).sum())
    if not resolvable(n_dev, 0.01):
        return [_unresolved(name, int(s.sum()), n_dev, 0.01, better) for name, s, better in names]
    accepted = scores >= threshold_at_fpr(*dev, 0.01)
    return [Measure(x, *rate(accepted[s]), int(s.sum()), "share", better) for x, s, better in names]


def membership(
    dev: tuple[Array, Array], test: tuple[Array, Array], resamples: Resamples
) -> list[Measure]:
    """All membership measures of one attack, taken on the test half of the audited images.

    dev, test: (scores (n,), members (n,) bool); dev only sets the thresholds of the measures
    named `:dev-threshold`. resamples: of the test half, the same for all that is compared. A rate
    that too few strangers can show is NaN and "unresolved".
    """
    dev_scores, dev_members = checked(*dev)
    scores, members = checked(*test)
    n = scores.size
    area = auc_interval(scores, members, resamples)
    best = asr_interval(scores, members, resamples)
    found = [
        Measure("auc", *area, n, "probability", "chance"),
        *at_low_fprs(scores, members, resamples),
        Measure("asr", *best, n, "share", "chance", note=OPTIMISTIC),
    ]
    found += at_dev_fpr((dev_scores, dev_members), (scores, members))
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
