"""Features: images through an extractor, and the members as points in its space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leakboard import artefacts, networks, plugins, weights
from leakboard.copies import Changes
from leakboard.images import to_float
from leakboard.neighbors import Index, Neighbors
from leakboard.randomness import generator
from leakboard.room import Room

BATCH = 256


class Extract:
    """An extractor with its network, if it has one, ready for images.

    `spec` is the extractor's; `files` that of its network, none or one. Weights from elsewhere are
    found by their name.
    """

    def __init__(self, spec: Mapping[str, Any], files: Sequence[str]) -> None:
        self.method = plugins.load("extractors", spec["method"], spec["params"])
        self.measure, self.device, self.net = self.method.measure, networks.device(), None
        self.batch, self.room = getattr(self.method, "batch", BATCH), Room()
        if files:
            self.net = networks.load(Path(files[0]).parent, spec["network"]).to(self.device)
        elif "weights" in spec:
            path = weights.checked(spec["params"]["weights"], spec["weights"])
            self.net = self.method.load(path).to(self.device)

    def features(self, images: Tensor) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> (n, d), differentiable."""
        return self.method.features(images, self.net)

    def __call__(self, pixels: NDArray[np.uint8], alter: bool = False) -> NDArray[np.float32]:
        """Images (n, h, w, c) uint8 -> features (n, d) float32.

        With `alter=True` of altered copies of the images instead, the same at every call.
        """
        n, h, w, c = pixels.shape
        changes = Changes.drawn((n, c, h, w), generator("altered copies"), 1.0) if alter else None
        return self._batched(pixels, self.features, changes).float().numpy()

    def classes(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
        """`classes` (n,) that images (n, h, w, c) uint8 are taken for; {} if it tells none."""
        if not hasattr(self.method, "classes"):
            return {}
        found = self._batched(pixels, lambda some: self.method.classes(some, self.net))
        return {"classes": found.numpy()}

    @torch.no_grad()
    def _batched(
        self,
        pixels: NDArray[np.uint8],
        function: Callable[[Tensor], Tensor],
        changes: Changes | None = None,
    ) -> Tensor:
        def batch(images: Tensor) -> Tensor:
            def part(rows: slice) -> Tensor:
                return function(images[rows].to(self.device)).cpu()

            return torch.cat(self.room(part, len(images)))

        found: Tensor | None = None
        for i in range(0, len(pixels), self.batch):
            images = to_float(pixels[i : i + self.batch])
            part = batch(changes.of(images, i) if changes else images)
            if found is None:
                found = torch.empty(len(pixels), *part.shape[1:], dtype=part.dtype)
            found[i : i + self.batch] = part
        return torch.empty(0) if found is None else found


def of_pictures(
    extract: Extract, paths: Iterable[str | Path], expected: str, batch: int
) -> dict[str, NDArray[Any]]:
    """`features` (n, d) of drawn pictures, the `asked` (n,) classes, and `classes` if it tells.

    One file at a time, and batch by batch as they were drawn, so that it makes no difference how
    many files there are.
    """
    found: dict[str, list[NDArray[Any]]] = {}
    for path in paths:
        shard = artefacts.read_npz(path, expected)
        for i in range(0, len(shard["images"]), batch):
            pixels, asked = (shard[name][i : i + batch] for name in ("images", "asked"))
            part = {"features": extract(pixels), "asked": asked, **extract.classes(pixels)}
            for name, array in part.items():
                found.setdefault(name, []).append(array)
    return {name: np.concatenate(found.pop(name)) for name in [*found]}


@dataclass(frozen=True)
class Space:
    """An extractor's space with the members in it: where a defense looks for the nearest.

    extract: (n, c, h, w) -> (n, d), differentiable; measure: see `similarity.from_distance`;
    images (m, c, h, w) in [-1, 1] and labels (m,) long of the members; with `mirrored` a member is
    as near as its mirror image. `method` is that of the neighbor index; `batch` images are
    extracted at once.
    """

    extract: Callable[[Tensor], Tensor]
    measure: str
    images: Tensor
    labels: Tensor
    mirrored: bool = False
    method: str = "flat"
    batch: int = BATCH

    @cached_property
    def members(self) -> Points:
        """The members as they are."""
        return self.points(self.images)

    @torch.no_grad()
    def points(self, images: Tensor) -> Points:
        """These images (m, c, h, w), members or changed members, as points of the space."""

        def batched(images: Tensor) -> Tensor:
            return torch.cat([self.extract(part) for part in images.split(self.batch)])

        there = [batched(images), *([batched(images.flip(-1))] if self.mirrored else [])]
        return Points(torch.stack(there), self.method)

    def similarity(self, distance: Tensor) -> Tensor:
        """What `similarity.from_distance` says, of tensors."""
        if self.measure == "cosine":
            return 1 - distance.square() / 2
        return 1 - distance if self.measure == "rms" else -distance


@dataclass(frozen=True)
class Points:
    """Features (1 or 2, m, d) of images, and of their mirror images where those count."""

    features: Tensor
    method: str = "flat"

    @cached_property
    def _index(self) -> Index:
        mirrored = self.features[1] if len(self.features) > 1 else None
        return Index(self.features[0], method=self.method, mirrored=mirrored)

    def nearest(self, features: Tensor, k: int) -> Neighbors:
        """The k nearest of these points (n, d): distances and numbers, (n, k) each."""
        return self._index.search(features, k)

    def at(self, number: Tensor, features: Tensor) -> Tensor:
        """The points of these numbers (n,), each mirrored where that is nearer to (n, d)."""
        there = self.features[:, number]
        nearer = (there - features).square().sum(-1).argmin(0)
        return there[nearer, torch.arange(len(number), device=nearer.device)]
