"""SIDE: surrogate conditional data extraction from models that know no classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from leakboard.diffusion import Guarded, Guide, Predictor


@dataclass(frozen=True)
class Attack:
    """eps + lambda sqrt(1 - abar_t) grad_{x_t} CE(c, p_t(. | x_t)): descend the cross entropy.

    Chen et al., "Extracting Training Data from Unconditional Diffusion Models", 2024, equations 9
    and 10: pictures are drawn from p_t(c | x)^lambda p_t(x), where p_t is a classifier of noised
    images and c one of its classes, which pictures take in turn. With a student of `tdkd` it is
    SIDE; with a classifier that knows no time, the baseline OL-TI; with a student of a teacher to
    whom every image is a class of its own, the baseline "random labels".
    """

    extracts: ClassVar[bool] = True
    guides: ClassVar[bool] = True
    uses_classifier: ClassVar[bool] = True
    sees: ClassVar[tuple[str, ...]] = ("predictor", "weights")
    lambda_: Annotated[float, Ge(0)] = 5.0  # the power; 0 draws as if there were no attack

    def guide(self, predictor: Predictor, classifier: Guide, classes: Tensor) -> Predictor:
        """The predictor, steered: image i of its batch towards class classes[i], (b,) long.

        classifier: (x_t, t) -> logits (b, outputs).
        """
        if self.lambda_ == 0:
            return predictor
        schedule = predictor.schedule

        def guided(x: Tensor, t: Tensor, *, step: int) -> Tensor:
            eps = predictor(x, t, step=step)
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                chance = classifier(x, t).log_softmax(1).gather(1, classes[:, None])
                # A sum, not a mean: batch mates never matter.
                gradient = torch.autograd.grad(chance.sum(), x)[0]
            return eps - self.lambda_ * (1 - schedule.at(t, x)).sqrt() * gradient

        return Guarded(guided, schedule)
