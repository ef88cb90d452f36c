"""A network that judges by the pattern of SecMI's error: SecMI with its neural head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from leakboard.diffusion import Predictor, round_trip
from leakboard.randomness import PerImage
from leakboard.resnet import ResNet18


@dataclass(frozen=True)
class Attack:
    """Score = the output of a ResNet-18 on |D_{u->l}(D_{l->u}(x_l)) - x_l|, pixel by pixel.

    Duan et al. 2023, SecMI_NNs: squared error to 1 (member) and 0, SGD with momentum 0.9 and weight
    decay 5e-4. Unlike the released code: the head learns from the dev half alone and the last epoch
    is kept (theirs looks at the test images for the best one); pools of different sizes weigh the
    same; and errors are divided by their mean over the images it learns from, because those of a
    good model are as small as the epsilon in BatchNorm.
    """

    t: Annotated[int, Ge(1)] = 100  # level, stride and variant of the trajectory: as in secmi
    k: Annotated[int, Ge(1)] = 10
    variant: Literal["code", "paper", "one-step"] = "code"
    width: Annotated[int, Ge(1)] = 64  # channels of the first of four stages
    epochs: Annotated[int, Ge(1)] = 15
    lr: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(2)] = 128
    folds: Annotated[int, Ge(2)] = 5  # parts of the dev half, each scored by who learned the others

    @torch.no_grad()
    def features(self, target: Predictor, images: Tensor, rng: PerImage) -> Tensor:
        """(n, c, h, w) -> the absolute error of each pixel, (n, c, h, w); no randomness."""
        x, back = round_trip(target, images, self.t, self.k, self.variant)
        return (back - x).abs()

    def fit(
        self, features: Tensor, members: Tensor, rng: torch.Generator
    ) -> Callable[[Tensor], Tensor]:
        """The head that features (m, c, h, w) and members (m,) bool teach: (b, c, h, w) -> (b,)."""
        scale = features.mean().clamp_min(1e-12)
        with torch.random.fork_rng(devices=[]):  # layers draw their first weights globally
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
            net = ResNet18(features.shape[1], self.width).to(features.device).train()
        optimizer = torch.optim.SGD(net.parameters(), self.lr, momentum=0.9, weight_decay=5e-4)
        share = members.double().mean()
        weight = torch.where(members, 0.5 / share, 0.5 / (1 - share)).float()
        for _ in range(self.epochs):
            order = torch.randperm(len(features), generator=rng).to(features.device)
            for rows in order.split(self.batch_size):
                if len(rows) == 1:  # has no variance to normalize by
                    continue
                error = net(features[rows] / scale) - members[rows].float()
                loss = (weight[rows] * error.square()).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        net.eval()
        return torch.no_grad()(lambda some: net(some / scale))
