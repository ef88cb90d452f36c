"""Put what papers report beside what was measured."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts
from leakboard.counterparts import beside, frame
from leakboard.reported import read
from leakboard.stages import Files

LISTS = {"defenses": (), "attacks": (), "told": ()}


def make(spec: dict[str, Any], files: Files) -> dict[str, Any]:
    """csv: the rows of `counterparts.beside`. files: measurements, papers."""
    measured = artefacts.read_table(files["measurements"][0], spec["gathered"])
    names = spec["track"], spec["defenses"], spec["attacks"]
    found = beside(
        read(files["papers"][0]),
        *names,
        measured,
        model="class-conditional" if spec["told"] else "unconditional",
        judges=spec["judges"],
    )
    return {"csv": frame(found)}
