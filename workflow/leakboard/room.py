"""As many images at once as memory has room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


class Room:
    """Asks about a batch whole, and where memory ends in halves, quarters and so on from then on.

    Parts change rounding alone. `most` is how many images are asked about at once; None: all.
    """

    most: int | None = None

    def __call__(self, function: Callable[[slice], T], n: int) -> list[T]:
        """What the function answers about n images, given their ranges in order.

        Raises RuntimeError where there is no room for one image.
        """
        while True:
            most = min(self.most or n, n)
            try:
                starts = range(0, n, most) if n else [0]
                return [function(slice(i, min(i + most, n))) for i in starts]
            except RuntimeError as error:
                if most <= 1 or not _ended(error):
                    raise
            self.most = -(-most // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            print(f"memory ended: {self.most} images at once from here on")


def _ended(error: RuntimeError) -> bool:
    """Whether memory ended: CUDA says the first, torch's allocator on a CPU the second."""
    return "out of memory" in str(error) or "can't allocate" in str(error)
