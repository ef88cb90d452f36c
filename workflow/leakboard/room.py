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

        Raises what the function raised where there is no room for one image.
        """
        while True:
            most = min(self.most or n, n)
            try:
                starts = range(0, n, most) if n else [0]
                return [function(slice(i, min(i + most, n))) for i in starts]
            except (RuntimeError, MemoryError) as error:
                if most <= 1 or not _ended(error):
                    raise
            self.most = -(-most // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            print(f"memory ended: {self.most} images at once from here on")


def _ended(error: Exception) -> bool:
    """Whether memory ended, as CUDA says it, torch's allocator on a CPU, and oneDNN."""
    words = ("out of memory", "can't allocate", "could not create a primitive")
    return isinstance(error, MemoryError) or any(each in str(error) for each in words)
