"""The images of a track: a dataset's, as many, cropped and resized as the track says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leakboard import plugins
from leakboard.errors import UserError
from leakboard.pictures import Frame, Pictures, stacked
from leakboard.randomness import numpy_generator


class Images(NamedTuple):
    """All images of a track, and what is known of each."""

    images: NDArray[np.uint8]  # (n, h, w, c)
    labels: NDArray[np.int64]  # (n,)
    columns: dict[str, NDArray[Any]]  # number, file, caption: (n,), where the dataset knows them


def load(
    method: str,
    params: Mapping[str, Any],
    *,
    seed: int = 0,
    limit: int | None = None,
    crop: int | str | None = None,
    size: int | None = None,
    filter: str = "lanczos",
) -> Images:
    """The images of a dataset; those of files are decoded one at a time, and no others.

    `limit` leaves so many, drawn at random by `seed`, in their order. Raises UserError for whatever
    cannot be used.
    """
    found: Sequence[Any] = plugins.load("datasets", method, params).load()
    images, labels, columns = (*found, {}) if len(found) == 2 else found
    if len(labels) != len(images) or any(len(column) != len(images) for column in columns.values()):
        raise UserError(f"dataset.method: '{method}' has not one label for each image")
    rows = np.arange(len(images))
    if limit is not None and limit < len(rows):
        rows = np.sort(numpy_generator("limit", seed).permutation(rows)[:limit])
    return Images(
        _framed(images, rows, Frame(crop, size, filter)),  # type: ignore[arg-type]
        np.asarray(labels)[rows],
        {name: np.asarray(column)[rows] for name, column in columns.items()},
    )


def _framed(images: Any, rows: NDArray[np.int64], frame: Frame) -> NDArray[np.uint8]:
    if isinstance(images, Pictures):
        names = images.names
        return stacked((images[i] for i in rows), lambda k: names[rows[k]], len(rows), frame)
    if isinstance(images, np.ndarray) and frame == Frame(filter=frame.filter):
        return images if len(rows) == len(images) else images[rows]
    return stacked((images[i] for i in rows), lambda k: f"image {rows[k]}", len(rows), frame)
