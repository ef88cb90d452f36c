"""NumPy archives of images."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from leakboard import assets
from leakboard.errors import UserError

Arrays = dict[str, NDArray[Any]]
NAMES = {
    "images": ("images", "x", "data"),
    "labels": ("labels", "y"),
    "number": ("index", "number"),
}


@dataclass(frozen=True)
class Dataset:
    """`images` (n, h, w, c) or (n, h, w) uint8 and, if given, `labels` (n,) in one .npz file.

    `x` or `data` and `y` are understood as well. `index` (n,), if given, holds the images' original
    numbers, by which published splits name them. Several files, as a list, are one after another,
    and subset/names.csv says from which each image is.
    """

    path: str | tuple[str, ...]  # the .npz file, or a list of them
    limit: Annotated[int, Ge(0)] = 0  # use only the first images of each file; 0 uses all

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], Arrays]:
        """Images (n, h, w, c) uint8, labels (n,), 0 where there are none, and what else is known.

        Beyond that the number of each image, where all files have them, and of several files each
        image's.
        """
        paths = [self.path] if isinstance(self.path, str) else list(self.path)
        if not paths:
            raise UserError("dataset.params.path: an empty list; name at least one .npz file")
        parts = [self._checked(path) for path in paths]
        for path, part in zip(paths, parts, strict=True):
            if part["images"].shape[1:] != parts[0]["images"].shape[1:]:
                raise UserError(
                    f"{path}: images of {part['images'].shape[1:]}, but those of {paths[0]} are "
                    f"{parts[0]['images'].shape[1:]}; expected one size"
                )
            if len(paths) > 1:
                part["file"] = np.full(len(part["images"]), Path(path).name)
        shared = set.intersection(*(set(part) for part in parts))
        whole = {
            name: np.concatenate([part[name] for part in parts]) if parts[1:] else parts[0][name]
            for name in sorted(shared)
        }
        return whole.pop("images"), whole.pop("labels"), whole

    def _checked(self, path: str) -> Arrays:
        """The arrays of one file."""
        arrays = _arrays(path)
        images = arrays["images"]
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
            raise UserError(
                f"{path}: `images` is {images.dtype} {images.shape}, expected uint8 "
                f"(n, h, w, c) or (n, h, w)"
            )
        arrays["images"] = images.reshape(*images.shape[:3], -1)
        arrays.setdefault("labels", np.zeros(len(images), np.int64))
        for name, kinds in (("labels", "iuf"), ("number", "iu")):
            found = arrays.get(name)
            if found is None:
                continue
            if found.shape != images.shape[:1] or found.dtype.kind not in kinds:
                raise UserError(
                    f"{path}: `{name}` is {found.dtype} {found.shape}, expected one whole "
                    f"number for each of {len(images)} images"
                )
            arrays[name] = found.astype(np.int64)
        return {name: array[: self.limit or None] for name, array in arrays.items()}


def _arrays(path: str) -> Arrays:
    """Those of NAMES that a file has."""
    try:
        with np.load(assets.verified(path), allow_pickle=False) as archive:
            found = {
                name: archive[next(key for key in keys if key in archive.files)]
                for name, keys in NAMES.items()
                if any(key in archive.files for key in keys)
            }
            if "images" not in found:
                raise KeyError("images")
            return found
    except (
        *(OSError, ValueError, KeyError, EOFError, TypeError, AttributeError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise UserError(
            f"dataset.params.path: '{path}' is not a .npz with an array `images` ({error})"
        ) from error
