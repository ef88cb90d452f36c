"""The features of the Frechet inception distance."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from leakboard import inception, vision, weights


@dataclass(frozen=True)
class Extractor:
    """Inception v3's last pool, 2048 numbers, with the weights of 2015-12-05 that FID means.

    Images are resized to 299x299 as TensorFlow 1 did, and scaled by (pixel - 128) / 128, as the
    original does: Heusel et al. 2017.
    """

    weights: str = "pt_inception-2015-12-05"  # an asset, or a path: .pth or .safetensors

    reads: ClassVar[tuple[str, ...]] = ("weights",)
    measure: ClassVar[str] = "l2"
    batch: ClassVar[int] = 32

    def load(self, path: Path) -> Any:
        """The network with the weights of a file; their classifier is left out."""
        state = weights.tensors(path)
        return weights.fill(inception.Inception(), state, path, spare=("fc.",))

    def features(self, images: Tensor, net: Any = None) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> (n, 2048)."""
        pixels = vision.like_tensorflow(vision.rgb(images) * 255, inception.SIZE)
        return net((pixels - 128) / 128)
