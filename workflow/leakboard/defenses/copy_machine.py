"""A control: draws training images, and nothing else."""

from dataclasses import dataclass
from typing import ClassVar

from leakboard.diffusion import Parts, Predictor
from leakboard.oracles import Empirical


@dataclass(frozen=True)
class Defense:
    """The exact denoiser of the members, E[x_0 | x_t]: it memorizes by construction.

    Its denoiser is not asked. Every measure of copies must fire on what it draws.
    """

    takes: ClassVar[int] = 1  # denoisers

    def guard(self, parts: Parts) -> Predictor:
        """The noise that x_t holds if some member is below it."""
        if parts.members is None:
            raise ValueError("copy-machine needs the members")
        return Empirical(parts.members, parts.denoisers[0].schedule)
