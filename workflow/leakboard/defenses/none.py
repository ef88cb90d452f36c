"""No defense: the network as it is."""

from dataclasses import dataclass
from typing import ClassVar

from leakboard.diffusion import Parts, Predictor


@dataclass(frozen=True)
class Defense:
    """What every other defense is compared with."""

    takes: ClassVar[int] = 1  # denoisers
    predicts_as_is: ClassVar[bool] = True

    def guard(self, parts: Parts) -> Predictor:
        """The only denoiser, untouched."""
        (predictor,) = parts.denoisers
        return predictor
