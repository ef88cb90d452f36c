"""Time-dependent knowledge distillation: who knows clean images teaches who sees noised ones."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from leakboard.lessons import Batch


@dataclass(frozen=True)
class Trainer:
    """L = E KL( p(y | x_0) || p_t(y | x_t) ), x_0 a picture drawn from the attacked model.

    SIDE, equation 11: the teacher has seen real images, and labels the drawn ones softly; the
    student, of the same architecture with time modules, sees them noised. t is uniform.
    """

    trains: ClassVar[str] = "student"
    uses_teachers: ClassVar[bool] = True
    taught_by: ClassVar[str] = "encoder"  # the kind of its teachers

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """A student has its teacher's classes."""
        return {}

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean divergence from the teacher's opinion over a batch, ()."""
        x, t, _ = batch.noised(rng)
        with torch.no_grad():
            taught = batch.teacher.logits(batch.images).log_softmax(1)
        said = net(x, t).log_softmax(1)
        return functional.kl_div(said, taught, reduction="batchmean", log_target=True)
