"""A NumPy archive of images."""

import zipfile
import zlib
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from leakboard import assets
from leakboard.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """`images` (n, h, w, c) or (n, h, w) uint8 and, if given, `labels` (n,) in one .npz file."""

    path: str  # the .npz file
    limit: Annotated[int, Ge(0)] = 0  # use only the first images; 0 uses all

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images (n, h, w, c) uint8 and labels (n,), 0 where there are none."""
        images, labels = self._arrays()
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
            raise UserError(
                f"{self.path}: `images` is {images.dtype} {images.shape}, expected uint8 "
                f"(n, h, w, c) or (n, h, w)"
            )
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iuf":
            raise UserError(
                f"{self.path}: `labels` is {labels.dtype} {labels.shape}, expected one whole "
                f"number for each of {len(images)} images"
            )
        images = images.reshape(*images.shape[:3], -1)
        stop = self.limit or len(images)
        return images[:stop], labels[:stop].astype(np.int64)

    def _arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        try:
            with np.load(assets.verified(self.path), allow_pickle=False) as archive:
                images = archive["images"]
                none = np.zeros(images.shape[:1], dtype=np.int64)
                return images, archive.get("labels", none)
        except (
            *(OSError, ValueError, KeyError, EOFError, TypeError, AttributeError),
            *(zipfile.BadZipFile, zlib.error),
        ) as error:
            raise UserError(
                f"dataset.params.path: '{self.path}' is not a .npz with an array `images` ({error})"
            ) from error
