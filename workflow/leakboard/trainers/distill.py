"""The distillation objective: predict what a frozen teacher predicts."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from leakboard.lessons import Batch


@dataclass(frozen=True)
class Trainer:
    """L = E || stopgrad(eps_teacher(x_t, t)) - eps_theta(x_t, t) ||^2 / d, x_t a noised real image.

    DualMD / DistillMD, equation 7. The true noise is never a target. Which teacher teaches on which
    images is the entry's `teachers`: {half-a: half-b, half-b: half-a} is alternating distillation
    (algorithm 2: one batch from half A, the next from half B, each taught by the model that never
    saw it), {members: base} the ordinary kind with one teacher.
    """

    trains: ClassVar[str] = "denoiser"
    uses_teachers: ClassVar[bool] = True

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """Nothing about a denoiser depends on the labels."""
        return {}

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean squared distance from the teacher's prediction over a batch, ()."""
        x, t, _ = batch.noised(rng)
        with torch.no_grad():
            target = batch.teacher(x, t).sample
        return functional.mse_loss(net(x, t).sample, target)
