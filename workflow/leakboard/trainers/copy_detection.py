"""A small copy-detection descriptor, trained with the recipe of SSCD."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn import functional

from leakboard.copies import altered
from leakboard.lessons import Batch


@dataclass(frozen=True)
class Trainer:
    """InfoNCE on two altered views, mixed images included, minus the entropy of the descriptors.

    Pizzi et al., "A Self-Supervised Descriptor for Image Copy Detection", CVPR 2022, section 4:
    temperature 0.05, the differential-entropy (KoLeo) term pushes each descriptor away from its
    nearest neighbor in the batch, and a mixed image must match both of its sources.
    """

    trains: ClassVar[str] = "encoder"
    temperature: Annotated[float, Gt(0)] = 0.05
    entropy_weight: Annotated[float, Ge(0)] = 1.0  # 30 in the paper, with batches of 4,096
    mixup: Annotated[float, Ge(0), Le(1)] = 0.5  # share of the first views that are mixed
    strength: Annotated[float, Ge(0), Le(1)] = 1.0  # of the alterations

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """A descriptor has no classes; the head stays unused."""
        return {"outputs": 1}

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean loss over a batch of at least two images, ()."""
        images, b = batch.images, len(batch.images)
        first, second = altered(images, rng, self.strength), altered(images, rng, self.strength)
        # Mix some first views with the next image's: soft targets on both sources.
        share = torch.rand(b, generator=rng).to(images.device)
        share = torch.where(torch.rand(b, generator=rng).to(images.device) < self.mixup, share, 1.0)
        weight = share[:, None, None, None]
        first = weight * first + (1 - weight) * first.roll(-1, 0)
        targets = torch.eye(b, device=images.device)
        targets = share[:, None] * targets + (1 - share)[:, None] * targets.roll(1, 1)
        a, c = (functional.normalize(net(view), dim=1) for view in (first, second))
        similarity = a @ c.T / self.temperature
        contrast = -(targets * similarity.log_softmax(1)).sum(1).mean()
        # Differential entropy, up to constants: the log distance to the nearest other descriptor.
        apart = torch.cdist(c, c) + 4 * torch.eye(b, device=images.device)
        entropy = apart.min(1).values.clamp_min(1e-6).log().mean()
        return contrast - self.entropy_weight * entropy
