"""A member's score is flat: the noise predicted in the clean image itself, SimA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from leakboard.diffusion import Predictor
from leakboard.randomness import PerImage


@dataclass(frozen=True)
class Attack:
    """Score = - || eps_theta(x_0, t) ||_p^p: x_0 is handed over as if it were x_t.

    SimA, arXiv 2509.25003: eps_theta is proportional to the estimated gradient of log p_t, which is
    small at the top of a member's peak. The authors try t from 0 to 200 and keep the best on the
    test images; here t is fixed beforehand.
    """

    t: Annotated[int, Ge(0)] = 100  # noise level that x_0 is passed off as
    p: Annotated[float, Gt(0)] = 4.0  # no root is taken

    @torch.no_grad()
    def score(self, target: Predictor, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> (n,), higher = member; one evaluation, no randomness."""
        eps = target(images, torch.tensor(self.t), step=0)
        return -eps.double().abs().pow(self.p).flatten(1).sum(1).cpu()
