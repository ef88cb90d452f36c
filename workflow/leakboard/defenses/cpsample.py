"""CPSample: steer away once a classifier of random labels recognizes the sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from leakboard.diffusion import Guarded, Parts, Predictor


@dataclass(frozen=True)
class Defense:
    """Where p = p(1 | x_t, t) leaves (alpha, 1 - alpha), climb the log-probability of the other
    label: eps - s sqrt(1 - abar_t) grad log p(other | x_t, t). The gate is per sample and per step.

    Kazdan et al., "CPSample", ICLR 2025, section 3.1 (which writes alpha_t where abar_t is meant).
    `stabilizer` is the form of log p(other): `logit` is exact in fp32; `additive-eps` is
    log(p + eps); `clamp` bounds p to [eps, 1 - eps], which kills the gradient where it is needed.
    """

    takes: ClassVar[int] = 1  # denoisers
    uses_classifier: ClassVar[bool] = True

    alpha: Annotated[float, Gt(0), Le(0.5)] = 0.25  # tolerance; 0.5 guides at every step
    scale: Annotated[float, Ge(0)] = 1.0  # s; 0 does nothing
    stabilizer: Literal["logit", "additive-eps", "clamp"] = "logit"
    eps: Annotated[float, Gt(0)] = 1e-3  # the constant of the two other forms

    def guard(self, parts: Parts) -> Predictor:
        """The denoiser, pushed where the gate is open; elsewhere untouched, bit for bit."""
        (denoiser,) = parts.denoisers
        classifier, schedule = parts.classifier, denoiser.schedule
        if classifier is None:
            raise ValueError("cpsample needs `classifier:`, a network trained on random labels")

        def guarded(x: Tensor, t: Tensor, *, step: int) -> Tensor:
            eps = denoiser(x, t, step=step)
            p = torch.sigmoid(classifier(x, t).float()[:, 0])  # (b,)
            gate = (p > 1 - self.alpha) | (p < self.alpha)
            if self.alpha == 0.5:  # "always" includes p = 1/2 itself
                gate = torch.ones_like(gate)
            if self.scale == 0 or not gate.any():
                return eps
            # The backward pass runs only for the samples whose gate is open.
            level = t if t.dim() == 0 else t[gate]
            push = self.scale * (1 - schedule.at(level, x)).sqrt()
            eps = eps.clone()
            eps[gate] -= push * self.gradient(classifier, x[gate], level)
            return eps

        return Guarded(guarded, schedule)

    def gradient(self, classifier, x: Tensor, t: Tensor) -> Tensor:
        """grad_x log p(the label that x is not taken for), (b, c, h, w) like x."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            logit = classifier(x, t).float()[:, 0]
            other = self.log_probability(torch.where(logit > 0, -logit, logit))
            # A sum, not a mean: batch mates never matter.
            return torch.autograd.grad(other.sum(), x)[0]

    def log_probability(self, logit: Tensor) -> Tensor:
        """log p(other) from its logit (b,) <= 0, in the form of the stabilizer."""
        if self.stabilizer == "logit":
            return torch.nn.functional.logsigmoid(logit)
        p = torch.sigmoid(logit)
        if self.stabilizer == "additive-eps":
            return torch.log(p + self.eps)
        return torch.log(p.clamp(self.eps, 1 - self.eps))
