"""What counts as the same picture: the changes that a copy may have undergone.

A copy-detection descriptor is trained to see through them, and is then judged on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Changes:
    """What is done to each of b images: shift (b, 2), noise (b, c, h, w), the rest (b, 1, 1, 1)."""

    shift: Tensor
    blur: Tensor
    contrast: Tensor
    brightness: Tensor
    noise: Tensor
    amount: Tensor

    @classmethod
    def drawn(cls, shape: Sequence[int], rng: torch.Generator, strength: float) -> Changes:
        """Those of images of this shape (b, c, h, w)."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(shape[0], 1, 1, 1, generator=rng)

        shift = strength * 0.25  # an eighth of the side, in the [-1, 1] coordinates of grid_sample
        return cls(
            torch.cat([uniform(-shift, shift), uniform(-shift, shift)], 1)[:, :, 0, 0],
            uniform(0, 0.5 * strength),
            uniform(1 - 0.3 * strength, 1 + 0.3 * strength),
            uniform(-0.2 * strength, 0.2 * strength),
            torch.randn(*shape, generator=rng),
            uniform(0, 0.15 * strength),
        )

    def of(self, images: Tensor, start: int = 0) -> Tensor:
        """The images (n, c, h, w), changed as those from `start` on are."""
        some = slice(start, start + len(images))
        told = (getattr(self, field.name)[some].to(images.device) for field in fields(self))
        shift, blur, contrast, brightness, noise, amount = told
        theta = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
        theta[:, :, 2] = shift
        grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
        x = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        smooth = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x = torch.lerp(x, smooth, blur)
        x = x * contrast
        x = x + brightness
        return (x + amount * noise).clamp(-1, 1)


def altered(images: Tensor, rng: torch.Generator, strength: float = 1.0) -> Tensor:
    """Copies of the images (b, c, h, w) in [-1, 1]: shifted, re-lit, blurred, noised, in [-1, 1].

    Each image is changed on its own: a shift by up to an eighth of the side, contrast by 30 %,
    brightness by 0.2, blur mixed in by up to one half, noise of standard deviation up to 0.15, all
    times `strength`; 0 returns the images as they are.
    """
    if strength == 0:
        return images
    return Changes.drawn(images.shape, rng, strength).of(images)
