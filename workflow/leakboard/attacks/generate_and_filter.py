"""What a model draws again and again, it has memorized: generate and filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from leakboard.cliques import representatives


@dataclass(frozen=True)
class Attack:
    """Draw plainly, many times; keep one picture of each group that came out again and again.

    Carlini et al. 2023, section 4.2, for models without prompts: two pictures are near if they
    differ by less than `distance`, the greatest RMS difference over tiles, so that a background
    they share does not make them alike; a group holds a clique of pictures all near one another.
    No label and no training image is looked at.
    """

    extracts: ClassVar[bool] = True
    keeps: ClassVar[bool] = True  # some of the pictures
    sees: ClassVar[tuple[str, ...]] = ("images",)
    distance: Annotated[float, Gt(0)] = 0.1  # RMS on [0, 1] pixels; below it, the same picture
    clique: Annotated[int, Ge(2)] = 10  # pictures that are all near one another
    tiles: Annotated[int, Ge(1)] = 1  # on a side: 4 are the paper's 16, 1 is the plain RMS

    @torch.no_grad()
    def keep(self, pictures: Tensor) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> rows (k,), long, ascending. ValueError: tiles do not fit."""
        return representatives(pictures, self.distance, self.clique, self.tiles)
