"""A folder of image files of one size."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from leakboard import assets
from leakboard.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Dataset:
    """Images in a folder and its subfolders, sorted by path; a subfolder's name is the label."""

    path: str  # the folder
    grayscale: bool = False  # one channel instead of three

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images (n, h, w, c) uint8 and labels (n,); UserError names a file that cannot be used."""
        from PIL import Image, UnidentifiedImageError

        root = assets.verified(self.path)
        files = sorted(f for f in root.rglob("*") if f.suffix.lower() in SUFFIXES)
        if not files:
            raise UserError(f"dataset.params.path: no images in '{root}'")
        folders = sorted({f.parent for f in files})
        images: list[NDArray[np.uint8]] = []
        for file in files:
            try:
                with Image.open(file) as image:
                    pixels = np.asarray(image.convert("L" if self.grayscale else "RGB"))
            except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
                raise UserError(
                    f"{file}: not an image that can be decoded ({error}); replace or remove it"
                ) from error
            pixels = pixels.reshape(*pixels.shape[:2], -1)
            if images and pixels.shape != images[0].shape:
                raise UserError(
                    f"{file}: is {pixels.shape[1]}x{pixels.shape[0]}, but {files[0]} is "
                    f"{images[0].shape[1]}x{images[0].shape[0]}; all images must have one size"
                )
            images.append(pixels)
        labels = np.array([folders.index(f.parent) for f in files], dtype=np.int64)
        return np.stack(images), labels
