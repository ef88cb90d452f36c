"""Randomness by name: every draw has its own generator, derived by hashing what it is for.

Nothing depends on the order, the batch, the shard or the process in which a draw is made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Name = str | int


def derive(*names: Name) -> int:
    """A seed in [0, 2^63) that depends on all the names and on nothing else."""
    text = json.dumps(names, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(*names: Name) -> np.random.Generator:
    """A NumPy generator seeded by the names."""
    return np.random.default_rng(derive(*names))


def generator(*names: Name) -> torch.Generator:
    """A torch generator on the CPU seeded by the names; the device never changes a draw."""
    import torch

    return torch.Generator().manual_seed(derive(*names))


class PerImage:
    """One generator for each image, so that batch mates never matter.

    `names` say what the randomness is for, `indices` which images are looked at; image i draws the
    same numbers whichever other images are drawn beside it.
    """

    def __init__(self, *names: Name, indices: Iterable[int]) -> None:
        self.generators = [generator(*names, int(i)) for i in indices]

    def __len__(self) -> int:
        return len(self.generators)

    def __getitem__(self, part: slice) -> PerImage:
        """The generators of a range of images, shared with (not copied from) the whole."""
        some = PerImage(indices=())
        some.generators = self.generators[part]
        return some

    def pick(self, rows: Iterable[int]) -> PerImage:
        """The generators of some images, by their places; shared, as above."""
        some = PerImage(indices=())
        some.generators = [self.generators[row] for row in rows]
        return some

    def normal(self, shape: Sequence[int]) -> torch.Tensor:
        """The next standard normal draws, (n, *shape) float32 on the CPU."""
        import torch

        return torch.stack([torch.randn(tuple(shape), generator=g) for g in self.generators])

    def integers(self, low: int, high: int) -> torch.Tensor:
        """The next integer of each image, (n,) long in [low, high)."""
        import torch

        return torch.cat([torch.randint(low, high, (1,), generator=g) for g in self.generators])
