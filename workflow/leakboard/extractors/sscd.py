"""SSCD: the copy-detection descriptor by which papers tell copies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional

from leakboard import vision, weights


@dataclass(frozen=True)
class Extractor:
    """Unit vectors of the published TorchScript network; their cosine is the similarity.

    Pizzi et al. 2022, arXiv 2202.10261. The default is what its authors recommend. DCR's recipe:
    {weights: sscd_disc_large, resize: 256, crop: 224, normalize: half}; AMG's for text:
    {resize: 224, normalize: none}. Their numbers cannot be compared.
    """

    weights: str = "sscd_disc_mixup"  # an asset, or a path: TorchScript, images -> (n, d)
    sha256: str = ""  # of a file that is no asset: TorchScript is code, so say which you trust
    resize: Annotated[int, Ge(1)] = 320  # side of the square
    crop: Annotated[int, Ge(0)] = 0  # then the middle of it; 0: all
    normalize: Literal["imagenet", "half", "none"] = "imagenet"
    antialias: bool = True  # where images are made smaller, as Pillow does

    reads: ClassVar[tuple[str, ...]] = ("weights",)
    runs_code: ClassVar[bool] = True
    measure: ClassVar[str] = "cosine"
    batch: ClassVar[int] = 32

    def load(self, path: Path) -> Any:
        """The network of a file, if that may run."""
        return weights.script(path, self.weights, self.sha256)

    def features(self, images: Tensor, net: Any = None) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> (n, d), of length 1."""
        x = vision.resized(vision.rgb(images), self.resize, antialias=self.antialias)
        if self.crop:
            x = vision.cropped(x, self.crop)
        if self.normalize != "none":
            x = vision.normalized(
                x, vision.IMAGENET if self.normalize == "imagenet" else vision.HALF
            )
        with torch.jit.optimized_execution(False):  # else the first batches differ from the rest
            return functional.normalize(net(x), dim=1)
