"""Quality of pictures against the held-out pool: FID and KID on given features, by torchmetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from leakboard.measures.measure import Measure, rate

GROUPS = 20  # of the jackknife


class _Given(nn.Identity):
    """Stands where torchmetrics expects its network: the features are already there."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def fid(real: NDArray[Any], drawn: NDArray[Any]) -> float:
    """The Frechet distance of two feature sets (n, d), (m, d), in float64.

    |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017); biased upward about like
    1 / n, so compare only at equal n.
    """
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1])).set_dtype(torch.float64)
    metric.update(torch.from_numpy(real).double(), real=True)
    metric.update(torch.from_numpy(drawn).double(), real=False)
    return float(metric.compute())


def kid(real: NDArray[Any], drawn: NDArray[Any]) -> float:
    """The unbiased squared MMD with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018).

    All images of the smaller set, as many of the larger: no random subsets, and none in a random
    order, which the metric as a class adds them up in; may be below 0.
    """
    size = min(len(real), len(drawn))
    one, other = (torch.from_numpy(each[:size]).double() for each in (real, drawn))
    return float(poly_mmd(one, other))


def quality(real: NDArray[Any], drawn: NDArray[Any], extractor: str) -> list[Measure]:
    """FID and KID of drawn pictures against real ones, with intervals.

    The interval is value +- 1.96 standard errors of a delete-a-group jackknife over the drawn
    pictures (20 groups): how the number would vary with other pictures, the real ones being part
    of the yardstick. It says nothing of the bias.
    """
    rows = []
    for name, function in (("fid", fid), ("kid", kid)):
        value = function(real, drawn)
        left_out = np.array(
            [function(real, np.delete(drawn, slice(g, None, GROUPS), 0)) for g in range(GROUPS)]
        )
        spread = (GROUPS - 1) / GROUPS * ((left_out - left_out.mean()) ** 2).sum()
        half = 1.96 * float(np.sqrt(spread))
        note = f"features of {extractor}, not Inception; {len(real)} held-out images"
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
