"""An ordinary image classifier; its features judge quality."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional

from leakboard.lessons import Batch


@dataclass(frozen=True)
class Trainer:
    """Cross entropy of the true labels, with a little noise on the images."""

    trains: ClassVar[str] = "encoder"
    noise: Annotated[float, Ge(0)] = 0.2  # standard deviation, images in [-1, 1]

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """One logit per class."""
        return {"outputs": int(labels.max()) + 1}

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean cross entropy over a batch, ()."""
        noise = torch.randn(batch.images.shape, generator=rng).to(batch.images.device)
        return functional.cross_entropy(net.logits(batch.images + self.noise * noise), batch.labels)
