"""Inception v3 as the Frechet inception distance means it: TensorFlow's graph of 2015-12-05.

Szegedy et al. 2016, arXiv 1512.00567, but for three things of that graph: padded zeros do not count
in average pools, the last block has a maximum pool, and batch norm has epsilon 0.001. Modules bear
the names of the published weights.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, cat, nn
from torch.nn import functional

DIM = 2048
SIZE = 299

# A step is (name, channels, kernel, stride); a path is its steps, a tuple in one being a fork.
Step = tuple[str, int, Any, int]
Path = list[Any]


def _a(pool: int) -> tuple[list[Path], str]:
    return [
        [("branch1x1", 64, 1, 1)],
        [("branch5x5_1", 48, 1, 1), ("branch5x5_2", 64, 5, 1)],
        _chain("branch3x3dbl", (64, 1, 1), (96, 3, 1), (96, 3, 1)),
        [("branch_pool", pool, 1, 1)],
    ], "average"


def _b() -> tuple[list[Path], str]:
    return [
        [("branch3x3", 384, 3, 2)],
        _chain("branch3x3dbl", (64, 1, 1), (96, 3, 1), (96, 3, 2)),
        [],
    ], "halve"


def _c(inner: int) -> tuple[list[Path], str]:
    wide, high = (inner, (1, 7), 1), (inner, (7, 1), 1)
    return [
        [("branch1x1", 192, 1, 1)],
        _chain("branch7x7", (inner, 1, 1), wide, (192, (7, 1), 1)),
        _chain("branch7x7dbl", (inner, 1, 1), high, wide, high, (192, (1, 7), 1)),
        [("branch_pool", 192, 1, 1)],
    ], "average"


def _d() -> tuple[list[Path], str]:
    return [
        _chain("branch3x3", (192, 1, 1), (320, 3, 2)),
        _chain("branch7x7x3", (192, 1, 1), (192, (1, 7), 1), (192, (7, 1), 1), (192, 3, 2)),
        [],
    ], "halve"


def _e(pool: str) -> tuple[list[Path], str]:
    def fork(name: str) -> tuple[Step, Step]:
        return (f"{name}a", 384, (1, 3), 1), (f"{name}b", 384, (3, 1), 1)

    return [
        [("branch1x1", 320, 1, 1)],
        [("branch3x3_1", 384, 1, 1), fork("branch3x3_2")],
        [*_chain("branch3x3dbl", (448, 1, 1), (384, 3, 1)), fork("branch3x3dbl_3")],
        [("branch_pool", 192, 1, 1)],
    ], pool


def _chain(name: str, *steps: tuple[int, Any, int]) -> Path:
    return [(f"{name}_{i}", *step) for i, step in enumerate(steps, 1)]


BLOCKS = {
    "Mixed_5b": (192, _a(32)),
    "Mixed_5c": (256, _a(64)),
    "Mixed_5d": (288, _a(64)),
    "Mixed_6a": (288, _b()),
    "Mixed_6b": (768, _c(128)),
    "Mixed_6c": (768, _c(160)),
    "Mixed_6d": (768, _c(160)),
    "Mixed_6e": (768, _c(192)),
    "Mixed_7a": (768, _d()),
    "Mixed_7b": (1280, _e("average")),
    "Mixed_7c": (2048, _e("maximum")),
}


class Inception(nn.Module):
    """Images (n, 3, 299, 299), scaled by (pixel - 128) / 128 -> features (n, 2048) of the pool."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Unit(3, 32, 3, 2, 0)
        self.Conv2d_2a_3x3 = _Unit(32, 32, 3, 1, 0)
        self.Conv2d_2b_3x3 = _Unit(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1 = _Unit(64, 80, 1, 1, 0)
        self.Conv2d_4a_3x3 = _Unit(80, 192, 3, 1, 0)
        for name, (channels, (paths, pool)) in BLOCKS.items():
            self.add_module(name, _Block(channels, paths, pool))

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = functional.max_pool2d(x, 3, 2)
        x = functional.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        return x.mean((2, 3))


class _Unit(nn.Module):
    def __init__(self, channels: int, out: int, kernel: Any, stride: int, padding: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class _Block(nn.Module):
    """Paths side by side, the last of them after a pool; their channels follow one another."""

    def __init__(self, channels: int, paths: list[Path], pool: str) -> None:
        super().__init__()
        self.paths, self.pool = paths, pool
        for path in paths:
            here = channels
            for step in path:
                for name, out, kernel, stride in [step] if isinstance(step[0], str) else step:
                    self.add_module(name, _Unit(here, out, kernel, stride, _around(kernel, stride)))
                here = out

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for i, path in enumerate(self.paths):
            y = _pooled(x, self.pool) if i == len(self.paths) - 1 else x
            for step in path:
                if isinstance(step[0], str):
                    y = self.get_submodule(step[0])(y)
                else:
                    y = cat([self.get_submodule(name)(y) for name, *_ in step], 1)
            found.append(y)
        return cat(found, 1)


def _around(kernel: Any, stride: int) -> Any:
    """The padding that keeps the size; none where a step halves it."""
    if stride > 1:
        return 0
    return tuple(side // 2 for side in kernel) if isinstance(kernel, tuple) else kernel // 2


def _pooled(x: Tensor, how: str) -> Tensor:
    if how == "average":
        return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return functional.max_pool2d(x, 3, 1, 1) if how == "maximum" else functional.max_pool2d(x, 3, 2)
