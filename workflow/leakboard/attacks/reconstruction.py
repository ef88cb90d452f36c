"""A model redraws its members more faithfully: reconstruction through an image-to-image service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from leakboard.diffusion import Service
from leakboard.randomness import PerImage


@dataclass(frozen=True)
class Attack:
    """Score = - mean over depths of || mean over draws of x^(i) - x || / sqrt(d).

    ReDiffuse (Li et al., ICML 2025): x^(i) is a picture that the service draws from x noised to
    level t; the mean of several draws forgets their noise. One step (`steps: 1`) shows what a
    single evaluation of the predictor knows: of an alternating pair of models, the first alone.

    With `rounds` above 1 it is the adaptive attack on DualMD (A.5): each round noises the picture
    of the round before to the next level and goes on from there, so that of that round's steps only
    the first one's effect is kept, and each round begins with the first model. N steps and R rounds
    cost R N - R (R - 1) / 2 evaluations.
    """

    sees: ClassVar[tuple[str, ...]] = ("images",)
    at_most: ClassVar[dict[str, str]] = {"rounds": "steps"}  # each round begins a level lower
    t: Annotated[int, Ge(1)] | tuple[int, ...] = 200  # depths: levels to which the image is noised
    steps: Annotated[int, Ge(1)] = 2  # of the service, from t down to a clean picture
    draws: Annotated[int, Ge(1)] = 10  # pictures that are averaged
    rounds: Annotated[int, Ge(1)] = 1

    @torch.no_grad()
    def score(self, target: Service, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> (n,), higher = member; draws x evaluations of the above per depth."""
        depths = [self.t] if isinstance(self.t, int) else list(self.t)
        distance = torch.zeros(len(images), dtype=torch.float64)
        for t in depths:
            drawn = sum(self.redrawn(target, images, t, rng).double() for _ in range(self.draws))
            gap = drawn / self.draws - images.double()
            distance += gap.square().flatten(1).mean(1).sqrt().cpu()
        return -distance / len(depths)

    def redrawn(self, target: Service, images: Tensor, t: int, rng: PerImage) -> Tensor:
        """One picture for each image, after all rounds, (n, c, h, w)."""
        levels = [-(-t * (self.steps - i) // self.steps) for i in range(self.steps)]  # t, ..., t/N
        picture = images
        for done in range(self.rounds):
            picture = target.vary(picture, levels[done:], rng)
        return picture
