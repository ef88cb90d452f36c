"""What counts as the same picture: the changes that a copy may have undergone.

A copy-detection descriptor is trained to see through them, and is then judged on them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def altered(images: Tensor, rng: torch.Generator, strength: float = 1.0) -> Tensor:
    """Copies of the images (b, c, h, w) in [-1, 1]: shifted, re-lit, blurred, noised, in [-1, 1].

    Each image is changed on its own: a shift by up to an eighth of the side, contrast by 30 %,
    brightness by 0.2, blur mixed in by up to one half, noise of standard deviation up to 0.15, all
    times `strength`; 0 returns the images as they are.
    """
    b = len(images)
    device = images.device

    def uniform(low: float, high: float) -> Tensor:
        draw = torch.rand(b, 1, 1, 1, generator=rng).to(device)
        return low + (high - low) * draw

    if strength == 0:
        return images
    shift = strength * 0.25  # an eighth of the side, in the [-1, 1] coordinates of grid_sample
    theta = torch.eye(2, 3, device=device).repeat(b, 1, 1)
    theta[:, :, 2] = torch.cat([uniform(-shift, shift), uniform(-shift, shift)], 1)[:, :, 0, 0]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    x = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    blur = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.lerp(x, blur, uniform(0, 0.5 * strength))
    x = x * uniform(1 - 0.3 * strength, 1 + 0.3 * strength)
    x = x + uniform(-0.2 * strength, 0.2 * strength)
    noise = torch.randn(images.shape, generator=rng).to(device)
    return (x + uniform(0, 0.15 * strength) * noise).clamp(-1, 1)
