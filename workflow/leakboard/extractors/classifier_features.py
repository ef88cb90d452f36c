"""The features of an image classifier trained in the workflow."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor


@dataclass(frozen=True)
class Extractor:
    """What the classifier's last layer reads: the space of the local Frechet distance."""

    uses_network: ClassVar[bool] = True
    measure: ClassVar[str] = "l2"

    def features(self, images: Tensor, net: Any = None) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> (n, dim)."""
        return net(images)

    def classes(self, images: Tensor, net: Any = None) -> Tensor:
        """(n, c, h, w) in [-1, 1] -> (n,) long: what each image is taken for."""
        return net.logits(images).argmax(1)
