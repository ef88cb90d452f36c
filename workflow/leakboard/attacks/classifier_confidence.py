"""A defense that recognizes members tells who they are: the confidence of CPSample's classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from leakboard.diffusion import Recognizer
from leakboard.randomness import PerImage


@dataclass(frozen=True)
class Attack:
    """Score = mean over draws of | logit of p(1 | x_t, t) |; at t = 0 of the clean image, once.

    CPSample's classifier learned a coin that was tossed for each member: it can be sure of no other
    image. Whoever is handed the defense holds the classifier too. The absolute logit orders images
    as max(p, 1 - p) does, which in floating point is exactly 1 for many.
    """

    sees: ClassVar[tuple[str, ...]] = ("weights",)
    asks: ClassVar[str] = "classifier"  # tells only about defenses that have one
    t: Annotated[int, Ge(0)] = 0  # noise level
    draws: Annotated[int, Ge(1)] = 8  # of the noise, averaged for each image; one at t = 0

    @torch.no_grad()
    def score(self, target: Recognizer, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> (n,), higher = member; `draws` evaluations, one at t = 0."""
        level, draws = torch.tensor(self.t), self.draws if self.t else 1
        sure = torch.zeros(len(images), dtype=torch.float64)
        for _ in range(draws):
            x = images
            if self.t:
                noise = rng.normal(images.shape[1:]).to(images)
                x = target.schedule.noised(images, noise, level)
            sure += target(x, level)[:, 0].double().abs().cpu()
        return sure / draws
