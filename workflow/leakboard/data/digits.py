"""1,797 real scanned digits, 8x8, that ship with scikit-learn."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Dataset:
    """The test half of the UCI set "Optical Recognition of Handwritten Digits" (43 writers)."""

    size: ClassVar[int] = 1797

    def load(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images (1797, 8, 8, 1) uint8 and labels (1797,) in 0..9, in scikit-learn's order."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 17 gray levels
        return pixels[..., None], digits.target.astype(np.int64)
