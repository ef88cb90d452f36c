"""Which samples of a batch a defense still watches, as it follows them from step to step."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


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
        """Which of these rows (r,) had been armed before the step: (r,) bool."""
        return self._before(step, n).armed[rows]

    def note(self, step: int, n: int, rows: Tensor, *, alarm: Tensor, armed: Tensor) -> None:
        """What a step's lookup found at these rows: (r,) long, bool, bool."""
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
