"""The residual network of CIFAR images (ResNet-18), with one output. Needs torch alone."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ResNet18(nn.Module):
    """A score (b,) of each image: He et al. 2016, as it is built for 32x32 images.

    The stem keeps the size; four stages of two blocks, of width, 2, 4 and 8 times width channels,
    halve it three times. BatchNorm as published: in evaluation mode no image sees its batch mates.
    """

    def __init__(self, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.stem = _normed(in_channels, width, 3)
        blocks, channels = [], width
        for stage in range(4):
            for stride in (1 if stage == 0 else 2, 1):
                blocks.append(_Block(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (b, c, h, w) -> (b,)."""
        hidden = self.blocks(functional.relu(self.stem(x)))
        return self.head(hidden.mean((2, 3)))[:, 0]


class _Block(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.one, self.two = _normed(channels, out, 3, stride), _normed(out, out, 3)
        same = stride == 1 and channels == out
        self.skip = nn.Identity() if same else _normed(channels, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.skip(x) + self.two(functional.relu(self.one(x))))


def _normed(channels: int, out: int, size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out))
