"""The noise predicted at t = 0, put back and predicted again: PIA and PIAN."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from leakboard.diffusion import Predictor
from leakboard.precision import exactly
from leakboard.randomness import PerImage


@dataclass(frozen=True)
class Attack:
    """Score = - || e_0 - eps_theta(sqrt(abar_t) x_0 + sqrt(1 - abar_t) e_0, t) ||_p^p.

    Kong et al. 2024, e_0 = eps_theta(x_0, 0). PIAN scales e_0 in both places so that its mean
    absolute value is that of a standard normal, sqrt(2 / pi); the paper's equation has the inverse
    constant, kept as `paper-equation`.
    """

    t: Annotated[int, Ge(1)] = 200
    p: Annotated[float, Gt(0)] = 4.0  # no root is taken
    normalize: Literal["no", "pian", "paper-equation"] = "no"

    @torch.no_grad()
    def score(self, target: Predictor, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> (n,), higher = member; two evaluations, no randomness."""
        # its scale goes into every pixel of both, so an error of it does not average out
        with nullcontext() if self.normalize == "no" else exactly():
            e0 = self.normalized(target(images, torch.tensor(0), step=0))
        level = torch.tensor(self.t)
        et = target(target.schedule.noised(images, e0, level), level, step=1)
        return -(e0 - et).double().abs().pow(self.p).flatten(1).sum(1).cpu()

    def normalized(self, e0: Tensor) -> Tensor:
        """e_0 with the mean absolute value that the variant wants, image by image."""
        if self.normalize == "no":
            return e0
        constant = math.sqrt(2 / math.pi if self.normalize == "pian" else math.pi / 2)
        return e0 * constant / e0.abs().mean(dim=(1, 2, 3), keepdim=True)
