"""Images: uint8 NHWC on disk, float in [-1, 1] NCHW in the library; converted only here."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def to_float(pixels: Pixels) -> torch.Tensor:
    """(n, h, w, c) uint8 -> (n, c, h, w) float32 in [-1, 1]; 0 is -1 and 255 is 1."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        raise ValueError(f"expected uint8 (n, h, w, c), got {pixels.dtype} {pixels.shape}")
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


def to_pixels(images: torch.Tensor) -> Pixels:
    """(n, c, h, w) float -> (n, h, w, c) uint8: clipped to [-1, 1] and rounded, not truncated."""
    scaled = images.detach().float().clamp(-1, 1).add(1).mul(127.5).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()
