"""Rejection: draw again until a picture is far enough from every member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor

from leakboard.diffusion import Parts, Predictor, Screen
from leakboard.features import Space


@dataclass(frozen=True)
class Defense:
    """A finished picture passes if its nearest member, in the space of `extractor`, has a
    similarity of at most tau; otherwise it is drawn anew from other noise, `tries` times in all.

    The least similar try is handed out when none passes. It touches no step of the sampler, needs
    the members while it draws, and costs 1 / (acceptance rate) drawings. It leaks on its own:
    refusals, or the time they take, tell that a member is near. Judge it in another space.
    """

    takes: ClassVar[int] = 1  # denoisers
    uses_extractor: ClassVar[bool] = True
    screens: ClassVar[bool] = True  # finished pictures
    predicts_as_is: ClassVar[bool] = True  # at each step it says what its network says

    tau: float = 0.9  # largest similarity that passes, in the extractor's measure
    tries: Annotated[int, Ge(1)] = 10  # draws of one picture; 1 never draws again
    index: Literal["flat", "ivf", "hnsw"] = "flat"  # of the members; the others are approximate

    def guard(self, parts: Parts) -> Predictor:
        """The only denoiser, untouched."""
        (predictor,) = parts.denoisers
        return predictor

    def screen(self, parts: Parts) -> Screen:
        """What finished pictures have to pass."""
        space: Space | None = parts.space
        if space is None:
            raise ValueError("rejection needs `extractor:`, a space in which to look for members")

        def similarity(images: Tensor) -> Tensor:
            found = space.members.nearest(space.extract(images), 1)
            return space.similarity(found.distance[:, 0])

        return Screen(similarity, self.tau, self.tries)
