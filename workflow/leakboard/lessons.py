"""Lessons: which images a training sees at a step, with which noise, and who teaches on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from leakboard.diffusion import Schedule
from leakboard.randomness import Name, generator


@dataclass(frozen=True)
class Batch:
    """What one step sees: images (b, c, h, w) in [-1, 1], labels (b,), numbers (b,).

    `teacher` is the frozen network that teaches on these images, None where there is none; `copy`
    (b,) is 0 for an image and 1, 2, ... for its repeats in the training set.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    schedule: Schedule
    teacher: Any = None
    copy: Tensor | int = 0

    def noised(self, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """x_t (b, c, h, w), t (b,) uniform over all levels, and the noise in x_t, like x_t."""
        x0 = self.images
        t = torch.randint(len(self.schedule.abar), (len(x0),), generator=rng).to(x0.device)
        eps = torch.randn(x0.shape, generator=rng).to(x0.device)
        return self.schedule.noised(x0, eps, t), t, eps


@dataclass(frozen=True)
class Lesson:
    """A pool of images, and who teaches on it: every batch comes from one lesson, in turn.

    images (n, c, h, w) in [-1, 1], labels (n,), index (n,), in which a number that is repeated is
    an image that is trained on as many times; `teacher` is a network or None.
    """

    pool: str
    images: Tensor
    labels: Tensor
    index: Tensor
    teacher: Any = None

    @cached_property
    def copy(self) -> Tensor:
        """Which copy of its image each row is, (n,): 0 for the first, 1, 2, ... for its repeats."""
        numbers = pd.Series(self.index.numpy())
        return torch.tensor(numbers.groupby(numbers).cumcount().tolist())

    def batch(self, rows: Tensor, flip: Tensor | None, schedule: Schedule, device: Any) -> Batch:
        """These rows, mirrored where `flip` (b,) says so."""
        images = self.images[rows]
        if flip is not None:
            images = torch.where(flip[:, None, None, None], images.flip(-1), images)
        labels, index = self.labels[rows].to(device), self.index[rows].to(device)
        copy = self.copy[rows].to(device)
        return Batch(images.to(device), labels, index, schedule, self.teacher, copy)


def rows_of(step: int, size: int, batch_size: int, names: tuple[Name, ...]) -> Tensor:
    """Which of `size` images batch number `step` holds, (batch_size,) long.

    All epochs' permutations, one after another, are cut into batches.
    """
    start = step * batch_size
    rows = torch.arange(start, start + batch_size)
    epochs = {
        int(epoch): torch.randperm(size, generator=generator(*names, "epoch", int(epoch)))
        for epoch in (rows // size).unique()
    }
    return torch.stack([epochs[int(row) // size][int(row) % size] for row in rows])
