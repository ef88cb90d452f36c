"""Models that need no training: exact answers for a finite set, to test methods against truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from leakboard.diffusion import Schedule


def log_weights(x: Tensor, images: Tensor, abar: Tensor) -> Tensor:
    """log of the posterior over which image x_t came from: (b, c, h, w), (m, c, h, w) -> (b, m)."""
    flat, centers = x.flatten(1).double(), images.flatten(1).double()
    abar = abar.double().reshape(-1, 1)
    # |x - sqrt(abar) c|^2 without |x|^2, which is the same for all
    gap = abar * centers.square().sum(1) - 2 * abar.sqrt() * (flat @ centers.T)
    return (-gap / (2 * (1 - abar))).log_softmax(1)


@dataclass(frozen=True)
class Empirical:
    """The exact denoiser of a finite set: it memorizes by construction.

    x0hat = E[x_0 | x_t] = sum_i w_i x_i with w_i proportional to N(x_t; sqrt(abar_t) x_i, (1 -
    abar_t) I), the minimizer of the denoising loss on the set.
    """

    images: Tensor  # (m, c, h, w) in [-1, 1]
    schedule: Schedule

    def __call__(self, x: Tensor, t: Tensor, *, step: int = 0) -> Tensor:
        abar = self.schedule.at(t, x)
        weights = log_weights(x, self.images, abar).exp()
        x0 = (weights @ self.images.flatten(1).double()).reshape(x.shape)
        return ((x.double() - abar.sqrt() * x0) / (1 - abar).sqrt()).to(x.dtype)


@dataclass(frozen=True)
class RandomLabelPosterior:
    """CPSample's perfect classifier: the exact posterior of a finite set with labels 0 and 1.

    p(1 | x_t) = sum_{i: y_i = 1} w_i; returned as logits (b, 1), differentiable in x.
    """

    images: Tensor  # (m, c, h, w)
    labels: Tensor  # (m,) of 0 and 1
    schedule: Schedule

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        weights = log_weights(x, self.images, self.schedule.at(t, x))
        ones = self.labels.bool()
        logit = weights[:, ones].logsumexp(1) - weights[:, ~ones].logsumexp(1)
        return logit[:, None].to(x.dtype)


@dataclass(frozen=True)
class ClassPosterior:
    """The perfect classifier of noised images of a finite set: p(c | x_t) = sum_{i: y_i = c} w_i.

    Returned as log-probabilities (b, classes), differentiable in x.
    """

    images: Tensor  # (m, c, h, w)
    labels: Tensor  # (m,) long, every class at least once
    schedule: Schedule

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        weights = log_weights(x, self.images, self.schedule.at(t, x))
        classes = range(int(self.labels.max()) + 1)
        each = [weights[:, self.labels == c].logsumexp(1) for c in classes]
        return torch.stack(each, 1).to(x.dtype)


@dataclass(frozen=True)
class Gaussian:
    """The optimal predictor of x_0 ~ N(0, I): eps(x, t) = sqrt(1 - abar_t) x. Knows no image."""

    schedule: Schedule

    def __call__(self, x: Tensor, t: Tensor, *, step: int = 0) -> Tensor:
        return (1 - self.schedule.at(t, x)).sqrt() * x


def draw(n: int, *, seed: int = 0, shape: tuple[int, ...] = (1, 8, 8)) -> Tensor:
    """n smooth random images in [-1, 1]: strangers to one another, (n, *shape)."""
    noise = torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    return (2 * smooth).clamp(-1, 1)
