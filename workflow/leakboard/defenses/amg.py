"""AMG: anti-memorization guidance, away from the nearest member once it is too near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from leakboard.alarm import Looked, Threshold, Watch, look, weakened
from leakboard.diffusion import Guarded, Parts, Predictor, Schedule
from leakboard.features import Points, Space
from leakboard.randomness import generator


@dataclass(frozen=True)
class Defense:
    """eps + G_sim where sigma > lambda_t, G_sim = c3 sqrt(1 - abar_t) grad_{x_t} sigma.

    Chen et al., "Towards Memorization-Free Diffusion Models", CVPR 2024, equations 8 to 17. sigma
    is how near x0hat is to its nearest member: the cosine in an extractor's space of that measure,
    else -nL2 (`alarm.look`). Gradients pass through the extractor, never through the denoiser.
    The paper leaves the constants and the form of its "parabolic" lambda_t open; the thresholds of
    `main`, `exponential` and the adaptive c3 are those of the authors' code, with c3 for 32x32x3
    pixels; `strong` is inferred from the paper's Top1 of 1.68.
    """

    takes: ClassVar[int] = 1  # denoisers
    uses_extractor: ClassVar[bool] = True

    preset: Literal["main", "strong"] = "main"
    threshold: Literal["parabolic", "exponential", "constant"] = "parabolic"
    near: float | None = None  # the threshold at t = 0, as an nL2 or a cosine; None: the preset's
    far: float | None = None  # ... and at t = T
    trigger: float | None = None  # act only after nL2 (cosine) has once been below (above) this
    gate: bool = True  # False: at every step, on every sample; the adaptive c3 then also attracts
    scale: Annotated[float, Ge(0)] = 80000.0  # c3; 0 does nothing
    adaptive: bool = True  # c3 times how far sigma is beyond the threshold
    growth: Annotated[float, Ge(0)] = 0.0  # c3 times exp(growth (1 - t / T))
    weaken: bool = False  # G_spe and G_dup too: of a class, where classes guide
    nn_space: Literal["clean", "noised"] = "clean"  # noised: x_t among noised members, their code
    neighbors: Annotated[int, Ge(1)] = 50  # k of nL2
    index: Literal["flat", "ivf", "hnsw"] = "flat"  # of the members; the others are approximate
    quiet: Annotated[int, Ge(0)] = 3  # after so many lookups without alarm (0: never) ...
    pause: Annotated[int, Ge(1)] = 2  # ... a sample is not watched for so many steps (10 of 250)

    def guard(self, parts: Parts) -> Predictor:
        """The denoiser, pushed off the nearest member where the gate is open; else untouched."""
        (denoiser,) = parts.denoisers
        space: Space | None = parts.space
        schedule = denoiser.schedule
        if space is None:
            raise ValueError("amg needs `extractor:`, a space in which to look for members")
        cosine = space.measure == "cosine"
        if self.weaken and not (cosine and getattr(denoiser, "guidance", 1) > 1):
            raise ValueError("`weaken` needs a cosine, and sampling.guidance above 1")
        threshold = Threshold.of(cosine, self.preset, self.threshold, self.near, self.far)
        watch = Watch(self.quiet, self.pause)

        def guarded(x: Tensor, t: Tensor, *, step: int) -> Tensor:
            eps = denoiser(x, t, step=step)
            rows = watch.rows(step, len(x)).to(x.device)
            if not self.scale or not len(rows):
                return eps
            level = t if t.dim() == 0 else t[rows]
            u = level.to(x.device) / len(schedule.abar)
            seen, gradient = self.sees(x[rows], eps[rows], level, space, schedule)
            excess = threshold.excess(seen.sigma, u)
            armed = watch.armed(step, len(x), rows)
            if self.trigger is not None:
                armed |= seen.sigma > (self.trigger if cosine else -self.trigger)
            watch.note(step, len(x), rows, alarm=excess > 0, armed=armed)
            acts = armed | (self.trigger is None)
            if self.gate:
                acts &= excess > 0
            if not acts.any():
                return eps
            c3 = self.scale * (self.growth * (1 - u)).exp() * (excess if self.adaptive else 1.0)
            c3 = c3.expand(len(rows)).reshape(-1, 1, 1, 1)
            push = (c3 * (1 - schedule.at(level, x)).sqrt() * gradient)[acts]
            rows, seen = rows[acts], seen[acts]
            if self.weaken:
                push -= weakened(denoiser, x, t, rows, seen.sigma, space.labels[seen.nearest])
            eps = eps.clone()
            eps[rows] += push
            return eps

        return Guarded(guarded, schedule)

    def sees(
        self, x: Tensor, eps: Tensor, t: Tensor, space: Space, schedule: Schedule
    ) -> tuple[Looked, Tensor]:
        """What is seen of the samples (b, c, h, w), and the gradient of sigma, like them."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            if self.nn_space == "clean":
                features = space.extract(schedule.clean(x, eps.detach(), t))
                seen = look(features, space.members, space.measure, self.neighbors)
            else:
                features, levels = space.extract(x), t.expand(len(x))
                seen = Looked.joined(
                    (levels == level, look(features[levels == level], points, space.measure, k))
                    for level in levels.unique()
                    for points, k in [(self.noised(space, level, schedule), self.neighbors)]
                )
            # A sum, not a mean: batch mates never matter.
            gradient = torch.autograd.grad(seen.sigma.sum(), x)[0]
        return Looked(seen.sigma.detach(), seen.nearest), gradient

    def noised(self, space: Space, t: Tensor, schedule: Schedule) -> Points:
        """All members at noise level t (), each with noise of its own, the same at every call."""
        rng = generator("amg", "noised members", int(t))
        noise = torch.randn(space.images.shape, generator=rng).to(space.images)
        return space.points(schedule.noised(space.images, noise, t))
