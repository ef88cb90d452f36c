"""The denoising objective: predict the noise."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from leakboard.lessons import Batch


@dataclass(frozen=True)
class Trainer:
    """L = E || eps - eps_theta(x_t, t) ||^2 / d with t uniform (Ho et al. 2020, L_simple)."""

    trains: ClassVar[str] = "denoiser"

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """Nothing about a denoiser depends on the labels."""
        return {}

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean squared error of the predicted noise over a batch, ()."""
        x, t, eps = batch.noised(rng)
        return functional.mse_loss(net(x, t).sample, eps)
