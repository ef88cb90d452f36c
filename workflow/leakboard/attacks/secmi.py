"""A member's deterministic trajectory is more self-consistent: SecMI, the statistic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from leakboard.diffusion import Predictor, transfer
from leakboard.randomness import PerImage


@dataclass(frozen=True)
class Attack:
    """Score = - || D_{u->l}(D_{l->u}(x_l)) - x_l ||^2 with x_l = the inversion of x_0 to level l.

    Duan et al. 2023. Four variants share one name, so it is explicit here:
    `code` (the released code, and the PIA repository): l = t - k, u = t; t / k + 1 evaluations;
    `paper`: l = t, u = t + k; one evaluation more; `one-step`: l = t, u = t + 1 (FreMIA).
    """

    t: Annotated[int, Ge(1)] = 100  # level at which the trajectory is probed
    k: Annotated[int, Ge(1)] = 10  # stride of the inversion; the last one ends at its level
    variant: Literal["code", "paper", "one-step"] = "code"

    @torch.no_grad()
    def score(self, target: Predictor, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> (n,), higher = member; a sum over pixels, so never across sizes."""
        low = max(self.t - self.k, 0) if self.variant == "code" else self.t
        high = {"code": self.t, "paper": self.t + self.k, "one-step": self.t + 1}[self.variant]
        x = images
        # Invert deterministically, stride by stride: 0 -> k -> 2k -> ... -> low.
        strides = range(0, low, self.k)
        for step, s in enumerate(strides):
            x = transfer(target, x, s, min(s + self.k, low), step=step)
        step = len(strides)
        # One step up and back.
        up = transfer(target, x, low, high, step=step)
        back = transfer(target, up, high, low, step=step + 1)
        return -(back - x).double().square().flatten(1).sum(1).cpu()
