"""Quality of pictures against the held-out pool: FID and KID on given features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from leakboard.measures.measure import Measure, rate

GROUPS = 20  # of the jackknife
BLOCK = 2048  # features in float64 at once


@dataclass(frozen=True)
class Moments:
    """Sums of float64 over n features: of each number (d,), and of the products of two (d, d)."""

    n: int
    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, features: NDArray[Any], origin: Tensor) -> Moments:
        """Of features (n, d), less an origin (d,) near their mean; a block of them at a time."""
        d = features.shape[1]
        first, second = (torch.zeros(size, dtype=torch.float64) for size in ((d,), (d, d)))
        for i in range(0, len(features), BLOCK):
            some = torch.from_numpy(features[i : i + BLOCK]).double() - origin
            first += some.sum(0)
            second.addmm_(some.T, some)
        return cls(len(features), first, second)

    def without(self, other: Moments) -> Moments:
        """Those of the features that are not among the other's."""
        return Moments(self.n - other.n, self.first - other.first, self.second - other.second)

    @property
    def mean(self) -> Tensor:
        return self.first / self.n

    @property
    def covariance(self) -> Tensor:
        return (self.second - self.n * torch.outer(self.mean, self.mean)) / (self.n - 1)


class _Given(nn.Identity):
    """Stands where torchmetrics expects its network: the features are already there."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def fid(real: NDArray[Any], drawn: NDArray[Any]) -> float:
    """The Frechet distance of two feature sets (n, d), (m, d), by torchmetrics, in float64.

    |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017); biased upward about like
    1 / n, so compare only at equal n. It keeps sums, and is given a block of features at a time.
    """
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1])).set_dtype(torch.float64)
    for features, side in ((real, True), (drawn, False)):
        for i in range(0, len(features), BLOCK):
            metric.update(torch.from_numpy(features[i : i + BLOCK]).double(), real=side)
    return float(metric.compute())


class Frechet:
    """The same distance to one feature set (n, d) again and again, for the jackknife of `fid`.

    tr (S1 S2)^(1/2) is that of (R' S2 R)^(1/2) with S1 = R R', which is symmetric: R is found once,
    and eigenvalues of symmetric matrices are found sooner, 20 times as the jackknife needs them.
    """

    def __init__(self, real: NDArray[Any]) -> None:
        self.origin = torch.from_numpy(real[:BLOCK]).double().mean(0)
        self.real = Moments.of(real, self.origin)
        self.covariance = self.real.covariance
        self.root, singular = torch.linalg.cholesky_ex(self.covariance)
        if singular:
            values, vectors = torch.linalg.eigh(self.covariance)
            self.root = vectors * values.clamp_min(0).sqrt()

    def __call__(self, drawn: Moments) -> float:
        other = drawn.covariance
        shared = torch.linalg.eigvalsh(self.root.T @ other @ self.root).clamp_min(0).sqrt().sum()
        gap = (self.real.mean - drawn.mean).square().sum()
        return float(gap + self.covariance.trace() + other.trace() - 2 * shared)

    def jackknife(self, drawn: NDArray[Any]) -> list[float]:
        """The distance of features (m, d) without each of the GROUPS in turn."""
        every = Moments.of(drawn, self.origin)
        groups = (Moments.of(drawn[g::GROUPS], self.origin) for g in range(GROUPS))
        return [self(every.without(group)) for group in groups]


def kid(real: NDArray[Any], drawn: NDArray[Any]) -> float:
    """The unbiased squared MMD with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018).

    All images of the smaller set, as many of the larger: no random subsets, and none in a random
    order; may be below 0.
    """
    return _mmd(real, drawn, np.ones((len(drawn), 1), dtype=bool))[0]


def _mmd(real: NDArray[Any], drawn: NDArray[Any], chosen: NDArray[np.bool_]) -> list[float]:
    """The squared MMD of each choice among the drawn, (m, choices) bool, a block at a time."""
    sizes = np.minimum(len(real), chosen.sum(0))
    first = torch.from_numpy(np.arange(len(real))[:, None] < sizes).double()
    other = torch.from_numpy(chosen & (chosen.cumsum(0) <= sizes)).double()
    within = _pairs(real, first) + _pairs(drawn, other)
    across = _kernel(real, first, drawn, other)
    n = torch.from_numpy(sizes).double()
    return (within / (n * (n - 1)) - 2 * across / n.square()).tolist()


def _pairs(features: NDArray[Any], chosen: Tensor) -> Tensor:
    """Sums of the kernel over all pairs of two different chosen features, (choices,)."""
    own = torch.zeros(chosen.shape[1], dtype=torch.float64)
    for i in range(0, len(features), BLOCK):
        some = torch.from_numpy(features[i : i + BLOCK]).double()
        own += (some.square().mean(1) + 1).pow(3) @ chosen[i : i + BLOCK]
    return _kernel(features, chosen, features, chosen) - own


def _kernel(x: NDArray[Any], of_x: Tensor, y: NDArray[Any], of_y: Tensor) -> Tensor:
    """Sums of the kernel over all pairs of a chosen x and a chosen y, (choices,)."""
    total = torch.zeros(of_x.shape[1], dtype=torch.float64)
    for i in range(0, len(x), BLOCK):
        one = torch.from_numpy(x[i : i + BLOCK]).double() / x.shape[1]
        for j in range(i if y is x else 0, len(y), BLOCK):
            kernel = (one @ torch.from_numpy(y[j : j + BLOCK]).double().T).add_(1).pow_(3)
            found = ((kernel @ of_y[j : j + BLOCK]) * of_x[i : i + BLOCK]).sum(0)
            total += found if y is not x or i == j else 2 * found
    return total


def quality(real: NDArray[Any], drawn: NDArray[Any], extractor: str) -> list[Measure]:
    """FID and KID of drawn pictures against real ones, with intervals.

    The interval is value +- 1.96 standard errors of a delete-a-group jackknife over the drawn
    pictures (20 groups): how the number would vary with other pictures, the real ones being part
    of the yardstick. It says nothing of the bias.
    """
    rows = []
    groups = np.arange(len(drawn))[:, None] % GROUPS != np.arange(GROUPS)
    value, *some = _mmd(real, drawn, np.c_[np.ones(len(drawn), dtype=bool), groups])
    found = {"fid": (fid(real, drawn), Frechet(real).jackknife(drawn)), "kid": (value, some)}
    for name, (value, without) in found.items():
        left_out = np.array(without)
        spread = (GROUPS - 1) / GROUPS * ((left_out - left_out.mean()) ** 2).sum()
        half = 1.96 * float(np.sqrt(spread))
        other = "" if extractor == "inception" else ", not Inception"
        note = f"features of {extractor}{other}; {len(real)} held-out images"
        rows.append(
            Measure(
                f"{name}:{extractor}",
                value,
                value - half,
                value + half,
                len(drawn),
                "distance",
                "lower",
                note=note,
            )
        )
    return rows


def out_of_class(other: NDArray[Any], wrong: NDArray[Any], extractor: str) -> list[Measure]:
    """The share of pictures that a classifier takes for another class than they were drawn of.

    other (n,) bool: so taken; wrong (m,) bool: real held-out images that it mistakes, which is as
    low as the share can be expected to go. Source: CPSample, appendix B, which shows pictures only.
    """
    note = f"the judge mistakes {wrong.mean():.3g} of {len(wrong)} held-out images"
    name = f"out_of_class:{extractor}"
    return [Measure(name, *rate(other), len(other), "share", "lower", note=note)]
