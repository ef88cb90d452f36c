"""A NumPy archive of images."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leakboard.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """`images` (n, h, w, c) or (n, h, w) uint8 and, if given, `labels` (n,) in one .npz file."""

    path: str  # the .npz file
    limit: int = 0  # use only the first images; 0 uses all

    def load(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images (n, h, w, c) uint8 and labels (n,), 0 where there are none."""
        path = Path(self.path)
        try:
            with np.load(path, allow_pickle=False) as archive:
                images = archive["images"]
                labels = archive["labels"] if "labels" in archive else np.zeros(len(images))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(
                f"dataset.params.path: '{path}' is not a .npz with an array `images` ({error})"
            ) from error
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) != len(labels):
            raise UserError(
                f"{path}: `images` is {images.dtype} {images.shape}, `labels` {labels.shape}; "
                f"expected uint8 (n, h, w, c) and (n,)"
            )
        images = images.reshape(*images.shape[:3], -1)
        stop = self.limit or len(images)
        return images[:stop], labels[:stop].astype(np.int64)
