"""Is one defense better than another? Differences on the same pictures or images, with p and se.

A positive difference says that `a` leaks or copies more. All intervals are 95 %, all p two-sided.
They are about images and noise, not about trainings: see the spread over seeds for those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations

import numpy as np
from scipy.stats import binom, norm

from leakboard.measures.bootstrap import Resamples, blind_ends, placements
from leakboard.measures.measure import Array

Scores = Mapping[str, Sequence[Array]]  # attack -> the scores (n,) of each seed
Z = float(norm.isf(0.025))
NEAR = 3  # standard errors within which attacks count as equally strong


@dataclass(frozen=True)
class Comparison:
    """What two defenses leak, and by how much they differ: difference = value_a - value_b.

    n: pictures or images that it rests on. se: the standard error of the difference.
    """

    value_a: float
    value_b: float
    difference: float
    ci_low: float
    ci_high: float
    p: float
    n: int
    se: float


def copies(a: Array | Sequence[Array], b: Array | Sequence[Array]) -> Comparison:
    """The difference of two copy rates, of pictures that began from the same noise.

    a, b: (n,) bool, paired, or one such vector for each seed; seeds are laid end to end, so their
    counts are added. p is McNemar's exact test, 1 where no pair disagrees. The interval is the
    adjusted Wald one of Bonett & Price 2012: one picture more for each side alone and two in all,
    which keeps a width where few pairs or none disagree.
    """
    one, two = _joined(a), _joined(b)
    if one.shape != two.shape:
        raise ValueError(f"{one.size} pictures cannot be paired with {two.size}")
    n, only_a, only_b = one.size, int((one & ~two).sum()), int((two & ~one).sum())
    fewer, several = min(only_a, only_b), only_a + only_b
    p = min(1.0, 2 * float(binom.cdf(fewer, several, 0.5)))
    p_a, p_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    se = float(np.sqrt((p_a + p_b - (p_a - p_b) ** 2) / (n + 2)))
    difference = (only_a - only_b) / n
    low, high = (min(1.0, max(-1.0, p_a - p_b + side * Z * se)) for side in (-1, 1))
    ends = min(low, difference), max(high, difference)
    return Comparison(float(one.mean()), float(two.mean()), difference, *ends, p, n, se)


@dataclass(frozen=True)
class Leak:
    """What a defense leaks under one access: value = |auc - 0.5| of the attack that finds most.

    auc: the mean over seeds of that attack's. replicates (resamples,): the value in each resample,
    with its own worst attack. optimism: by how much the value is too high, at most. blind: its
    standard error where no replicate differs, else 0. images: the audited images. scores: a
    digest of what the attacks said.
    """

    attack: str
    auc: float
    value: float
    replicates: Array
    optimism: float
    blind: float
    images: int
    scores: bytes


def leak(scores: Scores, members: Array, resamples: Resamples) -> Leak:
    """The worst case over attacks with one access, as `strongest.membership` finds it.

    scores: attack -> (n,) scores of each seed; members: (n,) bool. Its bootstrap draws images
    again, the same for all seeds, attacks and defenses. ValueError without an attack.
    """
    if not scores or not all(len(seeds) for seeds in scores.values()):
        raise ValueError("a leak is that of one attack at least, with one seed at least")
    resamples.fits(members)
    names, said = sorted(scores), sha256()
    for seed in (seed for name in names for seed in scores[name]):
        said.update(np.asarray(seed, dtype=np.float64).tobytes())
    placed = [[placements(seed, members) for seed in scores[name]] for name in names]
    aucs = np.array([np.mean([p[members].mean() for p in seeds]) for seeds in placed])
    ends = np.cumsum([len(seeds) for seeds in placed])
    every = np.split(resamples.aucs(np.concatenate(placed)), ends[:-1])
    drawn = np.array([seeds.mean(0) for seeds in every])  # (attacks, resamples)
    worst = int(np.abs(aucs - 0.5).argmax())
    value, blind = float(abs(aucs[worst] - 0.5)), 0.0
    replicates = np.abs(drawn - 0.5).max(0)
    if np.ptp(replicates) == 0:
        low, high = blind_ends(0.5 + value, members)
        blind = max(0.5 + value - low, high - 0.5 - value) / Z
    return Leak(
        attack=names[worst],
        auc=float(aucs[worst]),
        value=value,
        replicates=replicates,
        optimism=_optimism(aucs, drawn, worst),
        blind=blind,
        images=members.size,
        scores=said.digest(),
    )


def _optimism(aucs: Array, drawn: Array, worst: int) -> float:
    """How much too high the highest |AUC - 0.5| comes out, if all attacks near it were as strong.

    aucs (attacks,), drawn (attacks, resamples). Near is within NEAR standard errors of the worst;
    if that reaches 0.5, all that resampling around nothing gives. The bootstrap around the values
    found underestimates it there (Andrews 2000), for they are too high already.
    """
    noise = drawn - drawn.mean(1, keepdims=True)
    lowered = max(0.0, float(abs(aucs[worst] - 0.5) - NEAR * noise[worst].std(ddof=1)))
    center = np.clip(aucs - 0.5, -lowered, lowered)[:, None]
    return float(np.abs(center + noise).max(0).mean()) - lowered


def leaks(a: Scores, b: Scores, members: Array, resamples: Resamples) -> Comparison:
    """The difference of what two defenses leak: see `leak` and `difference`."""
    return difference(leak(a, members, resamples), leak(b, members, resamples))


def difference(a: Leak, b: Leak) -> Comparison:
    """Leak of a minus leak of b, on the same images, with a normal p and interval.

    The standard error is that of the paired replicates, whose worst attack is chosen anew in each.
    The highest of several AUCs is too high, the more so the more attacks are as strong as the
    worst: so the interval reaches from the lower of two to the upper, one around the difference and
    one around that of the leaks less their optimism, and p is the larger of both, 1 where they
    disagree about which leaks more. It is uniform where both leak by one attack, and else too large
    rather than too small. Where a leak is perfect, and no replicate differs, its error is what its
    exact interval says. Equal scores leave nothing to be known: [0, 0], p = 1.
    """
    apart = a.value - b.value
    if a.scores == b.scores:
        return Comparison(a.value, b.value, 0.0, 0.0, 0.0, 1.0, a.images, 0.0)
    spread = np.std(a.replicates - b.replicates, ddof=1)
    se = float(np.sqrt(spread**2 + a.blind**2 + b.blind**2))
    low, high = sorted((apart, apart - a.optimism + b.optimism))
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    p = float(2 * norm.sf(nearest / se)) if se > 0 else float(nearest == 0)
    ends = max(-0.5, low - Z * se), min(0.5, high + Z * se)
    return Comparison(a.value, b.value, apart, *ends, p, a.images, se)


def all_leaks(
    cells: Mapping[str, Scores], members: Array, resamples: Resamples
) -> tuple[dict[str, Leak], dict[tuple[str, str], Comparison]]:
    """What each defense leaks, and the difference of each two, in the order of `cells`.

    cells: defense -> attack -> (n,) scores of each seed, all with one access, on the same images.
    """
    found = {name: leak(scores, members, resamples) for name, scores in cells.items()}
    pairs = combinations(found, 2)
    return found, {(a, b): difference(found[a], found[b]) for a, b in pairs}


def _joined(seeds: Array | Sequence[Array]) -> Array:
    vectors = [seeds] if isinstance(seeds, np.ndarray) else list(seeds)
    if not vectors or any(v.dtype != bool or v.ndim != 1 or not v.size for v in vectors):
        raise ValueError("copies are boolean vectors with one picture at least, one for each seed")
    return np.concatenate(vectors)
