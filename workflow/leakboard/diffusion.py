"""Diffusion: the noise schedule, predictors `eps(x_t, t)`, and the samplers that call them.

A model is a function; a defense wraps it. Symbols: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor

from leakboard.images import to_float, to_pixels
from leakboard.precision import exactly
from leakboard.randomness import PerImage

if TYPE_CHECKING:
    from leakboard.lean import UNet2DModel
    from leakboard.precision import Asked


@dataclass(frozen=True)
class Schedule:
    """How much of the image is left at each level: abar (T,) float32, falling, abar_0 near 1."""

    abar: Tensor

    @classmethod
    def linear(
        cls, steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02
    ) -> Schedule:
        """DDPM's schedule (Ho et al. 2020): betas linear, abar_t = prod_{s<=t} (1 - beta_s)."""
        betas = torch.linspace(beta_start, beta_end, steps, dtype=torch.float64)
        return cls(torch.cumprod(1 - betas, 0).float())

    def at(self, t: Tensor, x: Tensor) -> Tensor:
        """abar_t, shaped to multiply x: t () or (b,) long -> (1 or b, 1, 1, 1) on x's device."""
        abar = self.abar[t.cpu()].to(x.device)
        return abar.reshape(-1, *[1] * (x.dim() - 1))

    def noised(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t: the clean images x0 (b, c, h, w) with noise eps at levels t () or (b,)."""
        abar = self.at(t, x0)
        return abar.sqrt() * x0 + (1 - abar).sqrt() * eps

    def clean(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x0hat: the clean image that x_t and its predicted noise imply."""
        abar = self.at(t, x)
        return (x - (1 - abar).sqrt() * eps) / abar.sqrt()


class Predictor(Protocol):
    """What a sampler calls at each step, defended or not."""

    @property
    def schedule(self) -> Schedule: ...

    def __call__(self, x: Tensor, t: Tensor, *, step: int) -> Tensor:
        """The noise in x (b, c, h, w) at levels t () or (b,) long; `step` counts the calls."""
        ...


@dataclass(frozen=True)
class Denoiser:
    """A predictor that asks a network (a diffusers UNet2DModel in evaluation mode).

    `classes` (b,) long are those of the one batch that it will be asked about; a class-conditional
    network without them, or with a class that it was never taught, predicts without a class.
    `guidance` is w of classifier-free guidance: eps = eps_u + w (eps_c - eps_u); at 1, the default,
    eps_u is never evaluated (Ho & Salimans 2022, with w = 1 + their w).
    """

    net: UNet2DModel | Asked
    schedule: Schedule
    classes: Tensor | None = None
    guidance: float = 1.0

    @property
    def taught(self) -> int:
        """How many classes the network was taught; 0 for one that knows no classes."""
        embedded = self.net.config.num_class_embeds
        return embedded - 1 if embedded else 0  # the last one means "no class"

    def __call__(self, x: Tensor, t: Tensor, *, step: int = 0) -> Tensor:
        if not self.taught or self.classes is None or self.guidance == 1:
            return self.given(x, t, self.classes)
        free = self.given(x, t, None)
        return free + self.guidance * (self.given(x, t, self.classes) - free)

    def given(self, x: Tensor, t: Tensor, classes: Tensor | None) -> Tensor:
        """The noise in x if its images are of these classes (b,); None asks without a class."""
        if not self.taught:
            return self.net(x, t).sample
        none = torch.full((len(x),), self.taught, device=x.device)
        if classes is None:
            classes = none
        known = (classes >= 0) & (classes < self.taught)
        classes = torch.where(known, classes, none)
        return self.net(x, t, class_labels=classes).sample


@dataclass(frozen=True)
class Recognizer:
    """A classifier of noised images, and the schedule of their noise."""

    net: Callable[[Tensor, Tensor], Tensor]
    schedule: Schedule

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Logits (b, outputs) of x (b, c, h, w) at levels t () or (b,) long."""
        return self.net(x, t)


@dataclass(frozen=True)
class Guarded:
    """A predictor made of a function: what `Defense.guard` returns."""

    eps: Callable[..., Tensor]  # (x, t, *, step) -> eps
    schedule: Schedule

    def __call__(self, x: Tensor, t: Tensor, *, step: int) -> Tensor:
        return self.eps(x, t, step=step)


Guide = Callable[[Tensor, Tensor], Tensor]  # (x_t, t) -> logits (b, outputs), differentiable in x


@dataclass(frozen=True)
class Parts:
    """What a defense may use to build its predictor."""

    denoisers: Sequence[Predictor]
    classifier: Guide | None = None
    members: Tensor | None = field(default=None, repr=False)  # (m, c, h, w): the clean members
    space: Any = None  # a features.Space: an extractor's, with the members in it


@dataclass(frozen=True)
class Screen:
    """Holds back finished pictures that are too near a member, and asks for others instead.

    `similarity` (n, c, h, w) -> (n,), higher = nearer; a picture passes at most at `tau`. After
    `tries` draws without one that passes, the least similar of them is handed out.
    """

    similarity: Callable[[Tensor], Tensor]
    tau: float
    tries: int

    def redrawn(self, draw: Callable[[Tensor, int], Tensor], n: int) -> Screened:
        """n pictures; `draw(rows, k)` makes those of some rows (r,) long for the k-th time."""
        rows, best = torch.arange(n), torch.full((n,), torch.inf, dtype=torch.float64)
        pictures, tries = torch.empty(0), torch.zeros(n, dtype=torch.long)
        for k in range(self.tries):
            drawn = draw(rows, k)
            near = self.similarity(drawn).double().cpu()
            if not k:
                pictures = drawn.clone()
            better = near < best[rows]
            pictures[rows[better].to(drawn.device)] = drawn[better.to(drawn.device)]
            best[rows[better]] = near[better]
            tries[rows] += 1
            rows = rows[near > self.tau]
            if not len(rows):
                break
        return Screened(pictures, tries, best <= self.tau)


@dataclass(frozen=True)
class Screened:
    """What came of screening: pictures (n, c, h, w), draws for each (n,), and who passed (n,)."""

    pictures: Tensor
    tries: Tensor
    passed: Tensor


@dataclass(frozen=True)
class Service:
    """An image-to-image service around a predictor: all that an attacker who sees images may call.

    It answers with finished pictures (8 bits a channel), and each call begins at step 0. `part`
    makes the predictor of some rows (r,) long of the batch, where a predictor is bound to its
    batch; a `screen` has pictures that are too near a member drawn again.
    """

    predictor: Predictor
    clip_sample: bool = False  # as the track's sampler does
    screen: Screen | None = None
    part: Callable[[Tensor], Predictor] | None = None

    @torch.no_grad()
    def vary(self, images: Tensor, levels: Sequence[int], rng: PerImage) -> Tensor:
        """Pictures (n, c, h, w) in [-1, 1], one drawn from each image.

        The images are noised to the first of the falling `levels`, then denoised by one DDIM step
        per level (eta 0); the noise comes from each image's own generator.
        """
        if self.screen is None:
            return self._varied(self.predictor, images, levels, rng)

        def draw(rows: Tensor, _: int) -> Tensor:
            predictor = self.part(rows) if self.part else self.predictor
            some = rng.pick(rows.tolist())
            return self._varied(predictor, images[rows.to(images.device)], levels, some)

        return self.screen.redrawn(draw, len(images)).pictures

    def _varied(
        self, predictor: Predictor, images: Tensor, levels: Sequence[int], rng: PerImage
    ) -> Tensor:
        schedule = predictor.schedule
        noise = rng.normal(images.shape[1:]).to(images)
        x = schedule.noised(images, noise, torch.tensor(levels[0]))
        for step, (s, t) in enumerate(pairwise([*levels, None])):
            level = torch.tensor(s)
            eps = predictor(x, level, step=step)
            clean = schedule.clean(x, eps, level)
            clean = clean.clamp(-1, 1) if self.clip_sample else clean
            x = clean if t is None else schedule.noised(clean, eps, torch.tensor(t))
        return to_float(to_pixels(x)).to(images)


def transfer(predictor: Predictor, x: Tensor, s: int, t: int, *, step: int = 0) -> Tensor:
    """D_{s->t}: the deterministic DDIM move of x (b, c, h, w) from level s to t, up or down."""
    level_s, level_t = torch.tensor(s), torch.tensor(t)
    eps = predictor(x, level_s, step=step)
    return predictor.schedule.noised(predictor.schedule.clean(x, eps, level_s), eps, level_t)


Variant = Literal["code", "paper", "one-step"]


def round_trip(
    predictor: Predictor, x0: Tensor, t: int, k: int, variant: Variant
) -> tuple[Tensor, Tensor]:
    """x_l, the deterministic inversion of x0 (b, c, h, w) to level l, and D_{u->l}(D_{l->u}(x_l)).

    SecMI (Duan et al. 2023): inverted in strides of k, the last of which ends at l; then one step
    up and back. `code` (the released code, and the PIA repository): l = t - k, u = t, t / k + 1
    evaluations; `paper`: l = t, u = t + k, one evaluation more; `one-step`: l = t, u = t + 1
    (FreMIA). The step up and back is asked for exactly: what comes of it is a small difference.
    """
    low = max(t - k, 0) if variant == "code" else t
    high = {"code": t, "paper": t + k, "one-step": t + 1}[variant]
    x, strides = x0, range(0, low, k)
    for step, s in enumerate(strides):
        x = transfer(predictor, x, s, min(s + k, low), step=step)
    with exactly():
        up = transfer(predictor, x, low, high, step=len(strides))
        return x, transfer(predictor, up, high, low, step=len(strides) + 1)


def scheduler(schedule: Schedule, sampler: str, steps: int, clip_sample: bool) -> Any:
    """A diffusers scheduler for `sampler` ("ddim", eta 0, or "ddpm") on this noise schedule."""
    from leakboard.lean import DDIMScheduler, DDPMScheduler

    abar = schedule.abar.double()
    betas = 1 - abar / torch.cat([torch.ones(1, dtype=torch.float64), abar[:-1]])
    kind = {"ddim": DDIMScheduler, "ddpm": DDPMScheduler}[sampler]
    made = kind(
        num_train_timesteps=len(abar),
        trained_betas=betas.float().numpy(),
        clip_sample=clip_sample,
        timestep_spacing="leading",  # 980, 960, ..., 0 for 50 of 1000
    )
    made.set_timesteps(steps)
    return made


@torch.no_grad()
def sample(
    predictor: Predictor,
    noise: PerImage,
    shape: Sequence[int],
    *,
    sampler: str = "ddim",
    steps: int = 50,
    clip_sample: bool = False,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Pictures (n, *shape) drawn from pure noise, one per generator in `noise`; not clipped."""
    plan = scheduler(predictor.schedule, sampler, steps, clip_sample)
    x = noise.normal(shape).to(device)
    for step, t in enumerate(plan.timesteps):
        eps = predictor(x, t, step=step)
        # Ancestral sampling draws its noise from each image's own generator; DDIM draws none.
        more = {"generator": noise.generators} if sampler == "ddpm" else {}
        x = plan.step(eps, t, x, **more).prev_sample
    return x
