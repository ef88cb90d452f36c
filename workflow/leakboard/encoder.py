"""The encoder: a small image network whose features tell images apart. Needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class Encoder(nn.Module):
    """A small residual image encoder: features (b, dim), and logits from them.

    GroupNorm only, so that an image's features never depend on its batch mates.
    """

    def __init__(
        self,
        sample_size: int = 32,
        in_channels: int = 3,
        outputs: int = 10,
        width: int = 32,
        dim: int = 64,
    ) -> None:
        super().__init__()
        self.config = {
            "sample_size": sample_size,
            "in_channels": in_channels,
            "outputs": outputs,
            "width": width,
            "dim": dim,
        }
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.one = _Residual(width, width)
        self.two = _Residual(width, 2 * width, stride=2)
        self.three = _Residual(2 * width, 2 * width)
        flat = 2 * width * ((sample_size + 1) // 2) ** 2 if sample_size <= 8 else 2 * width
        self.pool = sample_size > 8  # tiny images keep their places, larger ones are averaged
        self.project = nn.Linear(flat, dim)
        self.scale = nn.LayerNorm(dim)  # features of one size, whatever the images
        self.head = nn.Linear(dim, outputs)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Encoder:
        """The network that a saved config describes, with fresh weights."""
        return cls(**{key: value for key, value in config.items() if not key.startswith("_")})

    @property
    def blocks(self) -> tuple[_Residual, ...]:
        """The residual blocks, in order."""
        return self.one, self.two, self.three

    def forward(self, x: Tensor) -> Tensor:
        """x (b, c, h, w) in [-1, 1] -> features (b, dim)."""
        return self.described(x, [None] * len(self.blocks))

    def described(self, x: Tensor, shifts: Sequence[Tensor | None]) -> Tensor:
        """Features (b, dim), each block's first normalization followed by a shift (b, channels)."""
        hidden = self.stem(x)
        for block, shift in zip(self.blocks, shifts, strict=True):
            hidden = block(hidden, shift)
        hidden = functional.silu(hidden)
        hidden = hidden.mean((2, 3)) if self.pool else hidden.flatten(1)
        return self.scale(self.project(hidden))

    def logits(self, x: Tensor) -> Tensor:
        """x (b, c, h, w) -> (b, outputs)."""
        return self.head(functional.silu(self(x)))


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, out)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
        self.skip = nn.Conv2d(channels, out, 1, stride)

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        normed = self.norm1(x) if shift is None else self.norm1(x) + shift[:, :, None, None]
        hidden = self.conv1(functional.silu(normed))
        return self.skip(x) + self.conv2(functional.silu(self.norm2(hidden)))
