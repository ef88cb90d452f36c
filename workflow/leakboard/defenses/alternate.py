"""DualMD: two models of disjoint halves of the data take turns along the trajectory."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor

from leakboard.diffusion import Guarded, Parts, Predictor


@dataclass(frozen=True)
class Defense:
    """One model per sampler step: the first model at steps 0, 2, 4, ..., the second at the others.

    DualMD (Dual-Model Defense, section 3.4). Turns are counted by the sampler's step, never by the
    noise level: the levels of a 20, 50 or 100 step sampler are all even, and `t % 2` would silently
    ask one model only. A `share` other than 1/2 spreads the first model's ceil(share * N) steps
    evenly over the trajectory, beginning with the first.
    """

    takes: ClassVar[int] = 2  # denoisers
    share: Annotated[float, Ge(0), Le(1)] = 0.5  # of the steps, taken by the first model

    def guard(self, parts: Parts) -> Predictor:
        """The predictor that asks the model whose turn it is; one evaluation a step."""
        first, second = parts.denoisers

        def alternating(x: Tensor, t: Tensor, *, step: int) -> Tensor:
            model: Any = first if self.first_at(step) else second
            return model(x, t, step=step)

        return Guarded(alternating, first.schedule)

    def first_at(self, step: int) -> bool:
        """Whether step `step`, counted from 0, is the first model's."""
        share = Fraction(str(self.share))  # as it is written: 0.1 * 30 is 3, not a little more
        return ceil(share * (step + 1)) > ceil(share * step)
