"""What networks from elsewhere expect of an image: its colors, its size, its scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from leakboard.errors import UserError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, standard deviation of RGB
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def rgb(images: Tensor) -> Tensor:
    """(n, c, h, w) in [-1, 1] -> (n, 3, h, w) in [0, 1]; grey images have three equal channels."""
    if images.shape[1] not in (1, 3):
        raise UserError(f"images of {images.shape[1]} channels, expected 1 (grey) or 3 (RGB)")
    return images.expand(-1, 3, -1, -1).add(1).div(2)


def resized(images: Tensor, size: int, mode: str = "bilinear", antialias: bool = True) -> Tensor:
    """(n, 3, h, w) -> (n, 3, size, size); with `antialias` as Pillow does, up to its rounding."""
    if images.shape[-2:] == (size, size):
        return images
    return functional.interpolate(images, (size, size), mode=mode, antialias=antialias)


def cropped(images: Tensor, size: int) -> Tensor:
    """The (n, 3, size, size) in the middle."""
    top, left = (round((side - size) / 2) for side in images.shape[-2:])
    return images[..., top : top + size, left : left + size]


def padded(images: Tensor, patch: int) -> Tensor:
    """(n, 3, h, w) mirrored at its borders until its sides are multiples of `patch`.

    Half of it before and half after; an odd row or column goes after.
    """
    missing = [-side % patch for side in images.shape[-2:]]
    if any(
        miss // 2 + miss % 2 >= side for miss, side in zip(missing, images.shape[-2:], strict=True)
    ):
        raise UserError(f"images of {images.shape[-1]} pixels are too small to mirror to {patch}")
    (top, bottom), (left, right) = ((miss // 2, miss - miss // 2) for miss in missing)
    return functional.pad(images, (left, right, top, bottom), mode="reflect")


def normalized(images: Tensor, moments: Sequence[Sequence[float]]) -> Tensor:
    """(n, 3, h, w) minus the mean, over the standard deviation, of each channel."""
    mean, deviation = (images.new_tensor(each).view(3, 1, 1) for each in moments)
    return (images - mean) / deviation


def like_tensorflow(images: Tensor, size: int) -> Tensor:
    """(n, 3, h, w) -> (n, 3, size, size), bilinear as in TensorFlow 1, without antialiasing.

    Pixel i of the result lies at i * h / size, so the image moves by up to half a pixel: the known
    flaw of its `resize_bilinear`, with which the Frechet inception distance was defined.
    """
    for axis in (2, 3):
        side = images.shape[axis]
        at = torch.arange(size, device=images.device, dtype=images.dtype) * (side / size)
        low = at.long().clamp(max=side - 1)
        high = (low + 1).clamp(max=side - 1)
        share = (at - low).view(-1, *[1] * (3 - axis))
        lower, higher = images.index_select(axis, low), images.index_select(axis, high)
        images = lower + (higher - lower) * share
    return images
