"""Pictures from files by stated rules: decoded, cropped and resized, one at a time."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from leakboard.errors import UserError

Image = NDArray[np.uint8]  # (h, w, c)
FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "WEBP",
    "TIFF",
    "GIF",
)  # found by content, not by name; a JPEG may be an MPO
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
LARGEST = 2**26  # pixels that a picture may have
MODES = {"1", "L", "P", "RGB", "CMYK", "YCbCr"}
ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
RESIZING = ("lanczos", "bicubic", "bilinear", "box")


@dataclass(frozen=True)
class Pictures(Sequence[Image]):
    """Pictures that are decoded when they are asked for, so that they need no memory before."""

    names: Sequence[str]  # of each, for messages
    source: Callable[[int], Path | bytes]  # where a picture is
    grayscale: bool = False  # (h, w, 1) instead of (h, w, 3)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, i: int) -> Image: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Image]: ...
    def __getitem__(self, i: int | slice) -> Image | Sequence[Image]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        return decoded(self.source(i), self.names[i], grayscale=self.grayscale)


@dataclass(frozen=True)
class Frame:
    """What a track makes of each picture: a center crop of the source's pixels, then a resize."""

    crop: int | Literal["square"] | None = None  # side; or the largest square there is
    size: int | None = None  # side
    filter: str = "lanczos"  # of RESIZING: Pillow's, which are antialiased

    def fit(self, image: Image, name: str) -> Image:
        """The picture (h, w, c) so cropped and resized; UserError names one that is too small."""
        high, wide = image.shape[:2]
        side = min(high, wide) if self.crop == "square" else self.crop
        if side is not None:
            if side > min(high, wide):
                raise UserError(
                    f"{name}: is {wide}x{high}, too small for dataset.crop: {side}; remove it, or "
                    f"crop less"
                )
            top, left = (high - side) // 2, (wide - side) // 2
            image = image[top : top + side, left : left + side]
        if self.size is None or image.shape[:2] == (self.size, self.size):
            return image
        if image.shape[0] != image.shape[1]:
            raise UserError(
                f"{name}: is {wide}x{high}, and dataset.size: {self.size} would distort it; say "
                f"`crop: square` in `dataset`"
            )
        return _resized(image, self.size, self.filter)


def stacked(images: Iterable[Image], names: Callable[[int], str], n: int, frame: Frame) -> Image:
    """The n pictures (n, h, w, c) in a frame; UserError names one of another size."""
    done: Image = np.empty(0, np.uint8)
    for i, image in enumerate(images):
        image = frame.fit(image, names(i))
        if not i:
            done = np.empty((n, *image.shape), np.uint8)
        if image.shape != done.shape[1:]:
            raise UserError(
                f"{names(i)}: is {image.shape[1]}x{image.shape[0]}, but {names(0)} is "
                f"{done.shape[2]}x{done.shape[1]}; all images must have one size: make them so, "
                f"or say `size` (and `crop`) in `dataset`"
            )
        done[i] = image
    return done


def decoded(source: Path | bytes, name: str, *, grayscale: bool = False) -> Image:
    """A picture (h, w, 3) uint8, or (h, w, 1) in gray; UserError names one that cannot be used.

    Turned as its EXIF orientation says. Transparency lies on white. Of 16 bits in gray the nearest
    of 256 levels is taken, in color Pillow takes the upper 8. Floats and 32 bits, pictures of
    several frames, and those of more than LARGEST pixels are refused.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is LARGEST
            with Image.open(_stream(source), formats=FORMATS) as image:
                _refuse(image)
                return _plain(ImageOps.exif_transpose(image), grayscale)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except (
        *(UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, IndexError),
        *(TypeError, OverflowError, KeyError, AttributeError, struct.error, zlib.error),
        Image.DecompressionBombError,
    ) as error:
        raise UserError(
            f"{name}: not an image that can be decoded ({error}); replace or remove it"
        ) from error


def _stream(source: Path | bytes) -> Path | IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _refuse(image: Any) -> None:
    """What no rule makes a picture of."""
    wide, high = image.size
    if wide * high > LARGEST:
        raise UserError(f"is {wide}x{high}, more than {LARGEST:,} pixels; make it smaller")
    # phones put a preview behind the picture (MPO), which is no second frame
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise UserError(
            f"has {image.n_frames} frames; expected one picture: save one, or remove it"
        )
    if image.mode not in MODES | ALPHA and not image.mode.startswith("I;16"):
        raise UserError(
            f"has pixels of Pillow's mode {image.mode}, expected 8 or 16 bits; convert or remove it"
        )


def _plain(image: Any, grayscale: bool) -> Image:
    from PIL import Image

    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.float64) / 257  # 65535 is 255
        image = Image.fromarray(np.rint(levels).astype(np.uint8))
    if image.mode in ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = np.asarray(image.convert("L" if grayscale else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def _resized(image: Image, size: int, filter_: str) -> Image:
    """(h, w, c) -> (size, size, c), channel by channel."""
    from PIL import Image

    how = Image.Resampling[filter_.upper()]
    channels = (
        Image.fromarray(np.ascontiguousarray(channel)) for channel in np.moveaxis(image, 2, 0)
    )
    return np.stack([np.asarray(channel.resize((size, size), how)) for channel in channels], -1)
