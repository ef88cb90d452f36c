"""CLIP's image embedding."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional

from leakboard import vision, vit, weights


@dataclass(frozen=True)
class Extractor:
    """Unit vectors of CLIP's vision transformer; their cosine is the similarity.

    Radford et al. 2021, arXiv 2103.00020: bicubic to the side that it was trained with (224), its
    own mean and deviation.
    """

    weights: str = "clip_vitb32"  # an asset, or a path: TorchScript or .safetensors
    sha256: str = ""  # of TorchScript that is no asset: it is code, so say which you trust

    reads: ClassVar[tuple[str, ...]] = ("weights",)
    measure: ClassVar[str] = "cosine"
    batch: ClassVar[int] = 32

    def load(self, path: Path) -> Any:
        """The image tower with the weights of a file; its text tower is left out."""
        state = vit.of_clip(weights.tensors(path, self.weights, self.sha256))
        return weights.fill(vit.VisionTransformer(state, quick=True, eps=1e-5), state, path)

    def features(self, images: Tensor, net: Any = None) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> (n, d), of length 1."""
        x = vision.resized(vision.rgb(images), net.grid * net.patch, mode="bicubic")
        x = vision.normalized(x.clamp(0, 1), vision.CLIP)
        return functional.normalize(net(x), dim=1)
