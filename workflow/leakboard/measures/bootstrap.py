"""The stratified bootstrap of an AUC, on the same resampled images for every attack and defense.

Members and strangers are drawn again separately. An AUC is the mean of its placements (the share of
the other side that an image outdoes), so its replicates are one matrix product. They are taken on
the logit scale: they stay in (0, 1), and the interval is as skewed as it has to be near 1.
"""

from functools import cached_property

import numpy as np
from scipy.special import expit, logit

from leakboard.measures.measure import Array, binomial, checked

COUNT = 2000  # resamples
LEAST = 400  # of them, however many images there are
ROOM = 2**28  # bytes that resamples may take: one for each image and resample
GRID = 512  # steps at which resampled shares are kept
TRIED = 256  # thresholds that a resample chooses from
BLOCK = 64  # resamples multiplied at once: few enough for the processor's cache


class Resamples:
    """How often each audited image is drawn in each resample, members and strangers separately.

    members: (n,) bool, the order of all scores that are judged with it. `count` resamples, fewer
    only beyond 134,000 images. All that is judged with one `Resamples` is judged on the same
    images, so differences are paired.
    """

    def __init__(self, members: Array, rng: np.random.Generator, count: int = COUNT) -> None:
        self.members = checked(np.zeros(np.shape(members)), np.array(members))[1]
        self.count = min(count, max(LEAST, ROOM // self.members.size))
        self._drawn = [_draw(int(side.sum()), self.count, rng) for side in self._sides]
        self._seed = int(rng.integers(2**63))

    @property
    def _sides(self) -> tuple[Array, Array]:
        return self.members, ~self.members

    def generator(self) -> np.random.Generator:
        """For whatever else is drawn at random: the same numbers at every call."""
        return np.random.default_rng(self._seed)

    def fits(self, members: Array) -> None:
        """ValueError if other images are members, or in another order."""
        if not np.array_equal(self.members, members):
            raise ValueError("these resamples are of other members and strangers")

    def aucs(self, placed: Array) -> Array:
        """The AUC in every resample, (k, count) in [0, 1], of placements (k, n).

        Linear in the resampled images on the logit scale (Hoeffding projection), with the variance
        of DeLong 1988. Where the AUC is 0 or 1, or no placement differs, all replicates equal it.
        """
        placed = np.asarray(placed, dtype=np.float64)
        value = placed[:, self.members].mean(1)[:, None]
        moved = np.zeros((self.count, len(placed)), dtype=np.float32)
        for side, drawn in zip(self._sides, self._drawn, strict=True):
            n = drawn.shape[1]
            away = ((placed[:, side] - value) / np.sqrt(n * max(n - 1, 1))).T
            away = np.ascontiguousarray(away, dtype=np.float32)
            for start in range(0, self.count, BLOCK):
                part = slice(start, start + BLOCK)
                moved[part] += drawn[part].astype(np.float32) @ away
        moved = moved.T
        inside = (value > 0) & (value < 1)
        safe = np.where(inside, value, 0.5)
        found = expit(logit(safe) + moved / (safe * (1 - safe)))
        return np.where(inside & (np.ptp(moved, axis=1) > 0)[:, None], found, value)

    @cached_property
    def shares(self) -> tuple[Array, Array]:
        """What the resampled share of the first g / G members, and strangers, differs from its own.

        Two (G + 1, count), G the smaller of GRID and that side's size: a path from 0 to 0.
        """
        return tuple(_path(drawn) for drawn in self._drawn)  # type: ignore[return-value]


class Resampler:
    """The `Resamples` of any members and strangers: made once, and the same in every process."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made: dict[bytes, Resamples] = {}

    def __call__(self, members: Array) -> Resamples:
        key = np.packbits(members).tobytes() + len(members).to_bytes(8, "big")
        if key not in self._made:
            self._made[key] = Resamples(members, np.random.default_rng(self._seed))
        return self._made[key]


def placements(scores: Array, members: Array) -> Array:
    """The share of the other side that each image outdoes, (n,) in [0, 1], ties counting half.

    scores: (n,), members: (n,) bool. A member outdoes strangers with lower scores, a stranger
    members with higher ones; the mean over either side is the AUC. Source: DeLong et al. 1988.
    """
    scores, members = checked(scores, members)
    inside, outside = scores[members], scores[~members]
    found = np.empty(scores.size)
    found[members] = _below(inside, np.sort(outside)) / outside.size
    found[~members] = 1 - _below(outside, np.sort(inside)) / inside.size
    return found


def auc_interval(
    scores: Array, members: Array, resamples: Resamples, level: float = 0.95
) -> tuple[float, float, float]:
    """The AUC and its stratified bootstrap interval over images: (value, low, high).

    scores: (n,), members: (n,) bool. Where the AUC is 0 or 1, or no placement differs, the
    bootstrap is blind, and the interval is widened: see `blind_ends`.
    """
    resamples.fits(members)
    placed = placements(scores, members)
    value = float(placed[members].mean())
    replicates = resamples.aucs(placed[None])[0]
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    if low == high:
        low, high = blind_ends(value, members, level)
    return value, min(float(low), value), max(float(high), value)


def blind_ends(value: float, members: Array, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson's interval of a share of min(n_m, n_s) trials: (low, high).

    Disjoint pairs of a member and a stranger are independent; at AUC = 1 every one is a success.
    """
    pairs = int(min(members.sum(), (~members).sum()))
    _, low, high = binomial(round(value * pairs), pairs, level)
    return low, high


def best_of(
    tpr: Array, fpr: Array, resamples: Resamples, level: float = 0.95
) -> tuple[float, float]:
    """The bootstrap interval of max (TPR + 1 - FPR) / 2 over thresholds, each chosen anew.

    tpr, fpr: (k,), all thresholds, from none accepted on. An approximation: thresholds six standard
    errors below the best are never chosen, of the others a resample tries at most TRIED, the best
    of as many neighborhoods, and resampled shares are known at GRID steps.
    The maximum is optimistic, and the bootstrap of a maximum doubles that; so the ends are mirrored
    at the value (basic bootstrap), which takes it away.
    """
    gain = tpr - fpr
    away = 6 * np.sqrt(sum(0.25 / drawn.shape[1] for drawn in resamples._drawn))
    near = np.flatnonzero(gain >= gain.max() - away)
    width = -(-near.size // TRIED)  # of a neighborhood
    padded = np.append(gain[near], np.full(-near.size % width, -np.inf)).reshape(-1, width)
    tried = near[np.arange(len(padded)) * width + padded.argmax(1)]
    inside, outside = (
        share[np.rint(at[tried] * (len(share) - 1)).astype(int)]
        for at, share in zip((tpr, fpr), resamples.shares, strict=True)
    )
    best = (gain[tried, None].astype(np.float32) + inside - outside).max(0)
    ends = 2 * gain.max() - np.quantile(best, [(1 + level) / 2, (1 - level) / 2])
    return float(1 + ends[0]) / 2, float(1 + ends[1]) / 2


def _below(own: Array, other: Array) -> Array:
    """How many of the sorted `other` lie below each of `own`, ties counting half."""
    order = np.argsort(own)
    ranked = own[order]  # looked up in order, which is several times faster
    found = np.empty(own.size)
    found[order] = (np.searchsorted(other, ranked) + np.searchsorted(other, ranked, "right")) / 2
    return found


def _draw(n: int, count: int, rng: np.random.Generator) -> Array:
    """(count, n) uint8: how often each of n images is among n draws with replacement."""
    drawn = np.empty((count, n), dtype=np.uint8)
    for start in range(0, count, 16):
        part = drawn[start : start + 16]
        own = n * np.arange(len(part))[:, None]  # each resample counts for itself
        places = own + rng.integers(n, size=part.shape, dtype=np.uint32)
        part[:] = np.bincount(places.ravel(), minlength=part.size).reshape(part.shape)
    return drawn


def _path(drawn: Array) -> Array:
    count, n = drawn.shape
    stops = np.rint(np.linspace(0, n, min(GRID, n) + 1)).astype(int)
    steps = np.add.reduceat(drawn, stops[:-1], axis=1, dtype=np.int32)
    path = np.zeros((stops.size, count), dtype=np.float32)
    np.cumsum(steps.T / n, axis=0, out=path[1:])
    return path - (stops / n)[:, None].astype(np.float32)
