"""A member's deterministic trajectory is more self-consistent: SecMI, the statistic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from leakboard.diffusion import Predictor, round_trip
from leakboard.randomness import PerImage


@dataclass(frozen=True)
class Attack:
    """Score = - || D_{u->l}(D_{l->u}(x_l)) - x_l ||^2 with x_l = the inversion of x_0 to level l.

    Duan et al. 2023. Several variants share one name, so it is explicit here: see `round_trip`.
    """

    t: Annotated[int, Ge(1)] = 100  # level at which the trajectory is probed
    k: Annotated[int, Ge(1)] = 10  # stride of the inversion; the last one ends at its level
    variant: Literal["code", "paper", "one-step"] = "code"

    @torch.no_grad()
    def score(self, target: Predictor, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> (n,), higher = member; a sum over pixels, so never across sizes."""
        x, back = round_trip(target, images, self.t, self.k, self.variant)
        return -(back - x).double().square().flatten(1).sum(1).cpu()
