"""Features: images through an extractor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from leakboard import networks, plugins
from leakboard.copies import altered
from leakboard.images import to_float
from leakboard.randomness import generator

BATCH = 256


def opened(spec: Mapping[str, Any], weights: Sequence[str]) -> Callable[..., NDArray[np.float32]]:
    """A function from images (n, h, w, c) uint8 to features (n, d) float32.

    `spec` is the extractor's; `weights` the file of its network, if it has one. With `alter=True`
    the function looks at altered copies of the images instead, the same at every call.
    """
    extractor = plugins.load("extractors", spec["method"], spec["params"])
    device = networks.device()
    net = None
    if weights:
        net = networks.load(Path(weights[0]).parent, spec["network"]).to(device)

    @torch.no_grad()
    def extract(pixels: NDArray[np.uint8], alter: bool = False) -> NDArray[np.float32]:
        images = to_float(pixels)
        if alter:
            images = altered(images, generator("altered copies"))
        parts = [
            extractor.features(images[i : i + BATCH].to(device), net).cpu()
            for i in range(0, len(images), BATCH)
        ]
        return torch.cat(parts).float().numpy()

    return extract
