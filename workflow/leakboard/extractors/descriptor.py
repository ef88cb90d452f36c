"""A copy-detection descriptor trained in the workflow."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Extractor:
    """Unit vectors of an encoder; their cosine is the similarity, as with SSCD."""

    uses_network: ClassVar[bool] = True
    measure: ClassVar[str] = "cosine"

    def features(self, images: Tensor, net: Any = None) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> (n, dim), of length 1."""
        return functional.normalize(net(images), dim=1)
