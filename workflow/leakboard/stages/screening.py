"""Count how often pictures were drawn again before one was let out: rows of one defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts
from leakboard.measures.measure import Measure
from leakboard.measures.screening import screening
from leakboard.stages import Files

Spec = dict[str, Any]


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about a defense that holds pictures back. files: samples, all shards."""
    drawn = artefacts.read_shards(files["samples"], spec["samples"], ["tries", "passed"])
    return [(spec, screening(drawn["tries"], drawn["passed"], spec["extractor"]))]


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    return ["acceptance_rate"]
