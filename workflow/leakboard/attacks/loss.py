"""Members denoise better than strangers: the loss attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from leakboard.diffusion import Predictor
from leakboard.randomness import PerImage


@dataclass(frozen=True)
class Attack:
    """Score = - mean over draws of || eps - eps_theta(x_t, t) ||^2 / d.

    Matsumoto et al. 2023 (one draw at t = 350) and Hu & Pang 2023; the mean over pixels keeps
    scores comparable across resolutions. `t` may be a list, then each draw visits every level.
    """

    t: Annotated[int, Ge(0)] | tuple[int, ...] = 350  # noise levels to look at
    draws: Annotated[int, Ge(1)] = 8  # noise draws per level, averaged for each image

    @torch.no_grad()
    def score(self, target: Predictor, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> (n,), higher = member. The unit is the image: draws are averaged."""
        levels = [self.t] if isinstance(self.t, int) else list(self.t)
        loss = torch.zeros(len(images), dtype=torch.float64)
        for step, t in enumerate(level for level in levels for _ in range(self.draws)):
            eps = rng.normal(images.shape[1:]).to(images)
            level = torch.tensor(t)
            error = eps - target(target.schedule.noised(images, eps, level), level, step=step)
            loss += error.double().square().flatten(1).mean(1).cpu()
        return -loss / (len(levels) * self.draws)
