"""AMG: anti-memorization guidance, away from the nearest member once it is too near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from leakboard.diffusion import Guarded, Parts, Predictor, Schedule
from leakboard.features import Points, Space
from leakboard.randomness import generator
from leakboard.watch import Watch

# preset -> threshold at t = 0; then the threshold at high noise, and the rate between, per T
NEAR = {"nl2": {"main": 1.5, "strong": 1.7}, "cosine": {"main": 0.4, "strong": 0.35}}
FAR, RATE = {"nl2": 1.95, "cosine": 0.3}, {"nl2": 6.25, "cosine": 5.0}


@dataclass(frozen=True)
class Defense:
    """eps + c3 sqrt(1 - abar_t) grad_{x_t} sigma for samples with sigma > lambda_t.

    Chen et al., "Towards Memorization-Free Diffusion Models", CVPR 2024, equations 8 to 17. sigma
    is the similarity of x0hat to its nearest member: the cosine in an extractor's space of measure
    cosine, else -nL2, nL2 = d_1 / (a mean(d_1..d_k)), a = 1/2, with the mean held fixed. Gradients
    pass through the extractor and never through the denoiser. The paper leaves constants and the
    form of its "parabolic" lambda_t open; `exponential`, `near`, `far` and the adaptive c3 are the
    authors' code (preset `main`; `strong` is inferred from the paper's Top1 of 1.68).
    """

    takes: ClassVar[int] = 1  # denoisers
    uses_extractor: ClassVar[bool] = True

    preset: Literal["main", "strong"] = "main"
    threshold: Literal["parabolic", "exponential", "constant"] = "parabolic"
    near: float | None = None  # the threshold at t = 0, as an nL2 or a cosine; None: the preset's
    far: float | None = None  # ... and at high noise
    trigger: float | None = None  # act only after nL2 (cosine) has once been below (above) this
    gate: bool = True  # False: at every step, on every sample
    scale: Annotated[float, Ge(0)] = 80000.0  # c3; 0 does nothing
    adaptive: bool = True  # c3 times the distance to the threshold
    growth: Annotated[float, Ge(0)] = 0.0  # c3 times exp(growth (1 - t / T))
    nn_space: Literal["clean", "noised"] = "clean"  # noised: x_t among noised members, their code
    neighbors: Annotated[int, Ge(1)] = 50  # k of nL2
    quiet: Annotated[int, Ge(0)] = 0  # after so many lookups without alarm (0: never) ...
    pause: Annotated[int, Ge(1)] = 10  # ... a sample is not watched for so many steps

    def guard(self, parts: Parts) -> Predictor:
        """The denoiser, pushed off the nearest member where the gate is open; else untouched."""
        (denoiser,) = parts.denoisers
        space, schedule = parts.space, denoiser.schedule
        if space is None:
            raise ValueError("amg needs `extractor:`, a space in which to look for members")
        watch = Watch(self.quiet, self.pause)

        def guarded(x: Tensor, t: Tensor, *, step: int) -> Tensor:
            eps = denoiser(x, t, step=step)
            rows = watch.rows(step, len(x)).to(x.device) if self.scale else torch.empty(0)
            if not len(rows):
                return eps
            level = t if t.dim() == 0 else t[rows]
            excess, value, push = self.pushes(x[rows], eps[rows], level, space, schedule)
            armed = torch.ones_like(excess, dtype=torch.bool)
            if self.trigger is not None:
                cosine = space.measure == "cosine"
                reached = value > self.trigger if cosine else value < self.trigger
                armed = watch.armed(step, len(x), rows.cpu()).to(x.device) | reached
            acts = (excess > 0) & armed if self.gate else armed
            watch.note(step, len(x), rows.cpu(), alarm=(excess > 0).cpu(), armed=armed.cpu())
            if not acts.any():
                return eps
            eps = eps.clone()
            eps[rows[acts]] += push[acts]
            return eps

        return Guarded(guarded, schedule)

    def pushes(
        self, x: Tensor, eps: Tensor, t: Tensor, space: Space, schedule: Schedule
    ) -> tuple[Tensor, Tensor, Tensor]:
        """How far beyond the threshold (b,), the nL2 or cosine (b,), and G_sim (b, c, h, w)."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            if self.nn_space == "clean":
                looked = space.extract(schedule.clean(x, eps.detach(), t))
                value = self.value(looked, space.members, space.measure)
            else:
                levels, looked = t.expand(len(x)), space.extract(x)
                value = torch.zeros_like(looked[:, 0])
                for level in levels.unique():
                    rows, points = (levels == level).to(x.device), self.noised(space, level, schedule)
                    value[rows] = self.value(looked[rows], points, space.measure)
            # A sum, not a mean: batch mates never matter.
            gradient = torch.autograd.grad(value.sum(), x)[0]
        value, sign = value.detach(), 1.0 if space.measure == "cosine" else -1.0
        u = t.to(x.device) / len(schedule.abar)
        excess = sign * (value - self.limit(u, "cosine" if sign > 0 else "nl2"))
        c3 = self.scale * torch.exp(self.growth * (1 - u)) * (excess if self.adaptive else 1.0)
        c3 = torch.as_tensor(c3).expand(len(x)).reshape(-1, 1, 1, 1)
        return excess, value, sign * c3 * (1 - schedule.at(t, x)).sqrt() * gradient

    def value(self, looked: Tensor, points: Points, measure: str) -> Tensor:
        """nL2 or cosine (b,) of features (b, d) to the nearest of the points, differentiable."""
        cosine = measure == "cosine"
        found = points.nearest(looked.detach(), 1 if cosine else self.neighbors)
        nearest = points.at(found.index[:, 0], looked.detach())
        if cosine:
            return (looked * nearest).sum(1)
        # An exact copy has no direction away: the constant makes its gradient 0 instead of NaN.
        distance = ((looked - nearest).square().sum(1) + 1e-12).sqrt()
        mean = found.distance.mean(1).to(looked)
        return distance / (0.5 * mean).clamp_min(1e-3)  # of k copies it is 0, not 0 / 0

    def limit(self, u: Tensor, kind: str) -> Tensor:
        """The threshold at t = u T, an nL2 (kind "nl2") or a cosine; like u."""
        near = NEAR[kind][self.preset] if self.near is None else self.near
        far = FAR[kind] if self.far is None else self.far
        if self.threshold == "constant":
            return torch.full_like(u, near)
        shape = (-RATE[kind] * u).exp() if self.threshold == "exponential" else (1 - u).square()
        return far + (near - far) * shape

    def noised(self, space: Space, t: Tensor, schedule: Schedule) -> Points:
        """All members at noise level t (), each with noise of its own, the same at every call."""
        rng = generator("amg", "noised members", int(t))
        noise = torch.randn(space.images.shape, generator=rng).to(space.images)
        return space.points(schedule.noised(space.images, noise, t))
