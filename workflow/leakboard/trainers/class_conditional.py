"""The denoising objective of a network that is told the class of each image."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor
from torch.nn import functional

from leakboard.lessons import Batch


@dataclass(frozen=True)
class Trainer:
    """L = E || eps - eps_theta(x_t, t, y) ||^2 / d, with y left out now and then.

    Where the class is dropped the network learns the noise without one, so that both can be
    combined when it is sampled from (Ho & Salimans 2022, classifier-free guidance). Dropping none
    leaves "no class" untaught: such a network can be asked about given classes only.
    """

    trains: ClassVar[str] = "denoiser"
    conditional: ClassVar[bool] = True
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1  # share of images whose class is left out

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """One embedding per class, and one for "no class", the last."""
        return {"num_class_embeds": int(labels.max()) + 2}

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean squared error of the predicted noise over a batch, ()."""
        x, t, eps = batch.noised(rng)
        dropped = torch.rand(len(x), generator=rng).to(x.device) < self.dropout
        none = net.config.num_class_embeds - 1
        classes = torch.where(dropped, none, batch.labels)
        return functional.mse_loss(net(x, t, class_labels=classes).sample, eps)
