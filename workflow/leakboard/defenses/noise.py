"""A control: draws noise, which is private and useless."""

from dataclasses import dataclass
from typing import ClassVar

from leakboard.diffusion import Parts, Predictor
from leakboard.oracles import Gaussian


@dataclass(frozen=True)
class Defense:
    """The best predictor of somebody who takes all images for white noise.

    Its denoiser is not asked. What it draws must fail every measure of quality.
    """

    takes: ClassVar[int] = 1  # denoisers

    def guard(self, parts: Parts) -> Predictor:
        """The noise that x_t holds if white noise is below it."""
        return Gaussian(parts.denoisers[0].schedule)
