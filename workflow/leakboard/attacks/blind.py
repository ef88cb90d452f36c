"""No model at all: can members be told from strangers by looking at them? Then the split is bad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from leakboard.randomness import PerImage

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Attack:
    """Score = the log-odds of a logistic regression on statistics of the pixels.

    A control, after the blind baselines of Das et al. 2024 ("Blind Baselines Beat Membership
    Inference Attacks"): where members and strangers are drawn alike, it must be at chance; where it
    is not, every other attack may owe its success to the split, and not to the model.
    """

    sees: ClassVar[tuple[str, ...]] = ("nothing",)
    size: Annotated[int, Ge(1)] = 8  # side of the small picture among the statistics
    strength: Annotated[float, Gt(0)] = 0.1  # C, the inverse of the ridge penalty
    folds: Annotated[int, Ge(2)] = 5  # parts of the dev half, each scored by who learned the others

    def features(self, target: None, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> (n, c (9 + size^2)): mean, deviation, quantiles, edges, small picture."""
        flat = images.double().flatten(2)
        levels = torch.tensor(QUANTILES, dtype=flat.dtype, device=flat.device)
        edges = [images.double().diff(dim=d).square().mean((2, 3)) for d in (2, 3)]
        small = adaptive_avg_pool2d(images.double(), self.size)
        parts = [flat.mean(2), flat.std(2), *flat.quantile(levels, dim=2), *edges, small.flatten(1)]
        return torch.cat(parts, 1)

    def fit(
        self, features: Tensor, members: Tensor, rng: torch.Generator
    ) -> Callable[[Tensor], Tensor]:
        """The head that features (m, k) and members (m,) bool teach: (b, k) -> (b,)."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        regression = LogisticRegression(C=self.strength, class_weight="balanced", max_iter=1000)
        model = make_pipeline(StandardScaler(), regression)  # scaled by what it learns from alone
        model.fit(features.cpu().numpy(), members.cpu().numpy())
        return lambda some: torch.from_numpy(model.decision_function(some.cpu().numpy()))
