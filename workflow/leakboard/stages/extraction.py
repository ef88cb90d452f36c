"""Count what a family of extraction attacks draws of the members, for every defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, extraction, plugins
from leakboard.digests import canonical
from leakboard.measures.measure import Measure
from leakboard.stages import Files

Spec = dict[str, Any]
LISTS = {"tables": ("tables",), "samples": ("samples",), "cells": ()}


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about each attack on each defense. files: tables, background, samples (all shards)."""
    tables = {
        digest: artefacts.read_table(file, digest)
        for file, digest in zip(files["tables"], spec["tables"], strict=True)
    }
    background = artefacts.read_table(files["background"][0], spec["background"])
    similarities = background["similarity"].to_numpy()
    drawn = extraction.pictures(files["samples"], spec["samples"])
    done: dict[str, list[Measure]] = {}
    cells = []
    for cell in spec["cells"]:  # defenses that are drawn from alike have the same numbers
        key = canonical({**cell, "about": None})
        if key not in done:
            attack = plugins.load("attacks", **cell["method"]) if cell["method"] else None
            done[key] = extraction.measured(cell, tables, similarities, attack, drawn)
        cells.append((cell, done[key]))
    return cells


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    copy = f"copy:{spec['extractor']}"
    if spec["method"]:
        return [f"precision:{spec['extractor']}", f"extracted:{spec['extractor']}"]
    if "grid" in spec:
        copy += ":best"
    return [f"ams:{copy}", f"ums:{copy}"]
