"""DINO: self-supervised features by which ambient diffusion and CPSample tell copies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor
from torch.nn import functional

from leakboard import vision, vit, weights


@dataclass(frozen=True)
class Extractor:
    """Unit vectors of a vision transformer's class token; their cosine is the similarity.

    The default is ambient diffusion's recipe (Daras et al. 2023, arXiv 2305.19256), to which the
    thresholds 0.97 (CIFAR-10), 0.95 (CelebA) and 0.90 (LSUN) belong: DINOv2 ViT-g/14, pixels in
    [0, 1] as they are, mirrored at the borders to multiples of 14. With DINO of 2021:
    {weights: dino_vitb16, resize: 224, normalize: imagenet}.
    """

    weights: str = "dinov2_vitg14"  # an asset, or a path: .pth or .safetensors
    resize: Annotated[int, Ge(0)] = 0  # side of the square, bicubic; 0: as large as it is
    normalize: Literal["none", "imagenet"] = "none"

    reads: ClassVar[tuple[str, ...]] = ("weights",)
    measure: ClassVar[str] = "cosine"
    batch: ClassVar[int] = 32

    def load(self, path: Path) -> Any:
        """The network with the weights of a file, whose shapes say what it is."""
        state = weights.tensors(path)
        return weights.fill(vit.VisionTransformer(state), state, path, spare=("mask_token",))

    def features(self, images: Tensor, net: Any = None) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> (n, d), of length 1."""
        x = vision.rgb(images)
        if self.resize:
            x = vision.resized(x, self.resize, mode="bicubic")
        if self.normalize == "imagenet":
            x = vision.normalized(x, vision.IMAGENET)
        return functional.normalize(net(vision.padded(x, net.patch)), dim=1)
