"""CPSample's classifier: recognize training images by a coin that was tossed for each."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from leakboard.lessons import Batch
from leakboard.randomness import generator


@dataclass(frozen=True)
class Trainer:
    """Cross entropy of p(y_i | x_t, t) with y_i ~ Bernoulli(1/2), once per image and for good.

    CPSample, section 3.1: labels say nothing about content, so confidence means "near a training
    image". t is uniform; above t = 700 or so no classifier can beat ln 2.
    """

    trains: ClassVar[str] = "classifier"
    labels_seed: int = 0  # another seed, another toss

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """One logit."""
        return {"outputs": 1}

    def labels(self, index: Tensor) -> Tensor:
        """The coin of each image by its number in the dataset, (b,) long -> (b,) of 0.0, 1.0."""
        coins = [
            torch.randint(2, (1,), generator=generator("coin", self.labels_seed, int(i)))
            for i in index
        ]
        return torch.cat(coins).float().to(index.device)

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean cross entropy over a batch of noised images, ()."""
        x, t, _ = batch.noised(rng)
        logit = net(x, t)[:, 0]
        return functional.binary_cross_entropy_with_logits(logit, self.labels(batch.index))
