"""When is a sample too near a member? How near it is, the threshold, and who is still watched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from leakboard.features import Points

# of nL2 and of the cosine: the presets' thresholds at t = 0, the one at t = T, the rate between
NEAR = {False: {"main": 1.5, "strong": 1.7}, True: {"main": 0.4, "strong": 0.35}}
FAR = {False: 1.95, True: 0.3}
RATE = {False: 6.25, True: 5.0}  # per T: 0.025 per step of 250, 0.005 per level of 1,000
DENOMINATOR = 0.5  # a of nL2


@dataclass(frozen=True)
class Looked:
    """How near samples are to members: sigma (b,), higher = nearer, and the nearest one (b,)."""

    sigma: Tensor
    nearest: Tensor

    def __getitem__(self, some: Tensor) -> Looked:
        """Some of the samples: (b,) bool, or (r,) long."""
        return Looked(self.sigma[some], self.nearest[some])

    @classmethod
    def joined(cls, parts: Iterable[tuple[Tensor, Looked]]) -> Looked:
        """The parts of a batch, each with the mask (b,) bool of its samples, as one."""
        masks, seen = zip(*parts, strict=True)
        sigma = torch.cat([each.sigma for each in seen])
        order = torch.cat([mask.nonzero()[:, 0] for mask in masks]).argsort().to(sigma.device)
        return cls(sigma, torch.cat([each.nearest for each in seen]))[order]


def look(features: Tensor, points: Points, measure: str, k: int) -> Looked:
    """sigma of features (b, d) among points, differentiable with respect to the features.

    For measure "cosine" the cosine to the nearest point (AMG, equation 9); otherwise -nL2 =
    -d_1 / (a mean(d_1..d_k)), a = 1/2 (equation 8), in [-2, 0], with the mean held fixed: its
    gradient points straight at the nearest member, and is 0 at an exact copy.
    """
    with torch.no_grad():
        found = points.nearest(features, 1 if measure == "cosine" else k)
        nearest = points.at(found.index[:, 0], features)
    if measure == "cosine":
        return Looked((features * nearest).sum(1), found.index[:, 0])
    # An exact copy has no direction away: the constant makes its gradient 0 instead of NaN.
    distance = ((features - nearest).square().sum(1) + 1e-12).sqrt()
    mean = found.distance.mean(1).to(features)
    # Identical to k copies of one image it is 0, not 0 / 0.
    return Looked(-distance / (DENOMINATOR * mean).clamp_min(1e-3), found.index[:, 0])


@dataclass(frozen=True)
class Threshold:
    """lambda_t, above which sigma gives alarm: high at t = 0, lower under more noise.

    form: "exponential" is that of AMG's code, "parabolic" has the word of its paper and its ends,
    "constant" has the one of t = 0 everywhere. near, far: of sigma, at t = 0 and at t = T.
    """

    form: str
    near: float
    far: float
    rate: float

    @classmethod
    def of(
        cls, cosine: bool, preset: str, form: str, near: float | None, far: float | None
    ) -> Threshold:
        """The threshold of a preset, or with other ends; these are cosines, or nL2 = -sigma."""
        near = NEAR[cosine][preset] if near is None else near
        far = FAR[cosine] if far is None else far
        sign = 1 if cosine else -1
        return cls(form, sign * near, sign * far, RATE[cosine])

    def at(self, u: Tensor) -> Tensor:
        """lambda_t at t = u T, like u in [0, 1]."""
        if self.form == "constant":
            return torch.full_like(u, self.near)
        left = (-self.rate * u).exp() if self.form == "exponential" else (1 - u).square()
        return self.far + (self.near - self.far) * left

    def excess(self, sigma: Tensor, u: Tensor) -> Tensor:
        """sigma - lambda_t, (b,): positive is too near."""
        return sigma - self.at(u)


def scales(sigma: Tensor, s0: float) -> tuple[Tensor, Tensor]:
    """s1 and s2 (b,): how much of the guidance s0 goes, and how much turns on the neighbor's class.

    s1 = max(min(c1 sigma, s0 - 1), 0), s2 = max(min(c2 sigma, s0 - s1 - 1), 0) (AMG, equations 13
    and 15) with c1 = (s0 - 1) / 0.5 and c2 = (s0 - 1 - s1) / 0.3, as in its code. Their sum is at
    most s0 - 1.
    """
    most = s0 - 1
    s1 = (most / 0.5 * sigma).clamp(0, most)
    s2 = ((most - s1) / 0.3 * sigma).clamp_min(0).minimum(most - s1)
    return s1, s2


def weakened(
    denoiser: Any, x: Tensor, t: Tensor, rows: Tensor, sigma: Tensor, classes: Tensor
) -> Tensor:
    """-(G_spe + G_dup) = s1 (eps_c - eps_u) + s2 (eps_N - eps_u) of some rows, (r, c, h, w).

    Prompts are classes here: eps_c has each sample's own, eps_N that of its nearest member,
    `classes` (r,). sigma (r,). Source: AMG, equations 14 and 16.
    """
    level = t if t.dim() == 0 else t[rows]
    bound = None if denoiser.classes is None else denoiser.classes[rows]
    free, own, near = (denoiser.given(x[rows], level, given) for given in (None, bound, classes))
    s1, s2 = (s.reshape(-1, 1, 1, 1) for s in scales(sigma, denoiser.guidance))
    return s1 * (own - free) + s2 * (near - free)


@dataclass(frozen=True)
class _State:
    """What is known of a batch after a step, (n,) each."""

    armed: Tensor  # bool
    calm: Tensor  # lookups without alarm, one after another
    rest: Tensor  # steps for which it is not looked at


@dataclass
class Watch:
    """One batch's samples: after `quiet` lookups without alarm (0: never) one rests `pause` steps.

    What is known before a step is what was noted at the step before, so that asking about a step
    again gives the same answer. Step 0, a skipped step, or another number of samples begins anew.
    """

    quiet: int
    pause: int
    after: dict[int, _State] = field(default_factory=dict)

    def _before(self, step: int, n: int) -> _State:
        known = self.after.get(step - 1)
        if known is not None and len(known.armed) == n:
            return known
        zeros = torch.zeros(n, dtype=torch.long)
        return _State(zeros.bool(), zeros, zeros)

    def rows(self, step: int, n: int) -> Tensor:
        """The samples, of n, that are to be looked at: (r,) long."""
        before = self._before(step, n)
        rows = (before.rest == 0).nonzero()[:, 0]
        if not len(rows):  # nothing will be noted at this step
            self._set(step, _State(before.armed, before.calm, before.rest - 1))
        return rows

    def armed(self, step: int, n: int, rows: Tensor) -> Tensor:
        """Which of these rows (r,) had been armed before the step: (r,) bool, on their device."""
        return self._before(step, n).armed[rows.cpu()].to(rows.device)

    def note(self, step: int, n: int, rows: Tensor, *, alarm: Tensor, armed: Tensor) -> None:
        """What a step's lookup found at these rows: (r,) long, bool, bool."""
        rows, alarm, armed = rows.cpu(), alarm.cpu(), armed.cpu()
        before = self._before(step, n)
        state = _State(before.armed.clone(), before.calm.clone(), (before.rest - 1).clamp_min(0))
        state.armed[rows] = armed
        state.calm[rows] = torch.where(alarm, 0, before.calm[rows] + 1)
        if self.quiet:
            tired = rows[state.calm[rows] >= self.quiet]
            state.rest[tired], state.calm[tired] = self.pause, 0
        self._set(step, state)

    def _set(self, step: int, state: _State) -> None:
        self.after = {step - 1: self.after[step - 1]} if step - 1 in self.after else {}
        self.after[step] = state
