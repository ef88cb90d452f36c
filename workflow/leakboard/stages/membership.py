"""Tell how well an attack's scores separate members from strangers, for every defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts
from leakboard.measures.audit import audit
from leakboard.measures.bootstrap import Resampler
from leakboard.measures.measure import Measure
from leakboard.randomness import derive
from leakboard.stages import Files

Spec = dict[str, Any]
LISTS = {"scores": ("scores",), "cells": ()}


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about each defense. files: scores, in the order of `spec["scores"]`."""
    given = zip(files["scores"], spec["scores"], strict=True)
    tables: dict[str, Any] = {digest: artefacts.read_table(file, digest) for file, digest in given}
    track = spec["cells"][0]["about"]["track"]
    resampler = Resampler(derive("bootstrap", track))  # the same images for all attacks
    audits: dict[Any, list[Measure]] = {}  # defenses with the same scores have the same numbers
    cells = []
    for cell in spec["cells"]:
        asked = dict(zip(cell["targets"], cell["scores"], strict=True))
        key = tuple(asked.items())
        if key not in audits:
            audits[key] = audit({name: tables[digest] for name, digest in key}, resampler)
        cells.append((cell, audits[key]))
    return cells


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    return ["auc", "tpr@1%fpr"]
