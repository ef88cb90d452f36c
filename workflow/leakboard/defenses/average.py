"""The mean of several models' predictions: what one gets from asking all of them at every step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from leakboard.diffusion import Guarded, Parts, Predictor


@dataclass(frozen=True)
class Defense:
    """eps(x_t, t) = mean_i eps_i(x_t, t); as many evaluations a step as there are models.

    The diffusion analogue of combining the densities of models of disjoint shards by their
    geometric mean (Vyas et al. 2023, near access-freeness): scores add where densities multiply.
    """

    def guard(self, parts: Parts) -> Predictor:
        """The predictor that asks every denoiser; of one denoiser, that denoiser bit for bit."""
        denoisers = parts.denoisers

        def averaged(x: Tensor, t: Tensor, *, step: int) -> Tensor:
            return torch.stack([model(x, t, step=step) for model in denoisers]).mean(0)

        return Guarded(averaged, denoisers[0].schedule)
