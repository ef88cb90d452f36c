"""CPSample's classifier: recognize training images by a coin that was tossed for each."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from leakboard.lessons import Batch
from leakboard.randomness import generator


@dataclass(frozen=True)
class Trainer:
    """Cross entropy of p(y_i | x_t, t) with y_i ~ Bernoulli(1/2), once per image and for good.

    CPSample, section 3.1: labels say nothing about content, so confidence means "near a training
    image". t is uniform; above t = 700 or so no classifier can beat ln 2. The copies of an image
    that is repeated in the training set are "grouped" under its one coin, as the paper advises; as
    "opposite", they alternate between both labels, which cancel for an even number of copies: the
    posterior is 1/2 there, and nothing protects the image (what unnoticed duplicates can come to).
    """

    trains: ClassVar[str] = "classifier"
    labels_seed: int = 0  # another seed, another toss
    duplicates: Literal["grouped", "opposite"] = "grouped"  # the copies of one image

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """One logit."""
        return {"outputs": 1}

    def labels(self, index: Tensor, copy: Tensor | int = 0) -> Tensor:
        """The coin of each image by its number in the dataset, (b,) long -> (b,) of 0.0, 1.0.

        copy: which copy of the image it is, (b,) from 0.
        """
        coins = [
            torch.randint(2, (1,), generator=generator("coin", self.labels_seed, int(i)))
            for i in index
        ]
        tossed = torch.cat(coins).to(index.device)
        if self.duplicates == "opposite":
            tossed = (tossed + copy) % 2
        return tossed.float()

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean cross entropy over a batch of noised images, ()."""
        x, t, _ = batch.noised(rng)
        logit = net(x, t)[:, 0]
        labels = self.labels(batch.index, batch.copy)
        return functional.binary_cross_entropy_with_logits(logit, labels)
