"""Plain drawing, as an attack: what every other extraction attack must beat."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Attack:
    """Ask for pictures, and do nothing else: SIDE's baseline "Random", its lambda = 0."""

    extracts: ClassVar[bool] = True
    sees: ClassVar[tuple[str, ...]] = ("images",)
