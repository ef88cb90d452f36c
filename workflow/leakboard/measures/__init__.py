"""The judges: pure functions of arrays that turn scores and similarities into measurements."""

from leakboard.measures.measure import Measure

__all__ = ["Measure"]
