"""Count the copies, and compare with the undefended model: rows of every defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, subset
from leakboard.measures import copying
from leakboard.measures.measure import Measure
from leakboard.randomness import numpy_generator
from leakboard.stages import Files

Spec = dict[str, Any]
LISTS = {"similarities": ("tables",), "features": ("features",), "cells": ()}


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about drawn pictures. files: tables, features, background, pools, split.

    The features of one defense at a time are in memory, beside those of the audited images.
    """
    tables = dict(zip(spec["similarities"], files["tables"], strict=True))
    drawn = dict(zip(spec["features"], files["features"], strict=True))
    strangers = artefacts.read_table(files["background"][0], spec["background"])
    background = strangers["similarity"].to_numpy()
    split = subset.read_split(files["split"][0])
    members = split[split["pool"] == "members"]
    audited = subset.audited(split)
    index = audited["index"].to_numpy()
    real = artefacts.read_rows(files["pools"][0], spec["pools"], "real", index)
    trained = (audited["pool"] == "members").to_numpy()

    def table(digest: str) -> Any:
        return artefacts.read_table(tables[digest], digest)

    cells = []
    for cell in spec["cells"]:
        mine = table(cell["similarity"])
        found = copying.copies(mine, background, **cell["copies"])
        if cell["compared"]:
            plain = table(cell["undefended"])
            found += copying.compared(plain, mine, background, **cell["compared"])
        if cell["duplicated"]:
            index, times = members["index"].to_numpy(), members["times"].to_numpy()
            found += copying.duplicated(mine, background, index, times, **cell["duplicated"])
        file, name = drawn[cell["features"]], "features"
        features = artefacts.read_npz(file, cell["features"], [name])[name]
        rng = numpy_generator("permutation", *cell["names"])
        found += copying.permuted(features, real, trained, rng, **cell["permuted"])
        cells.append((cell, found))
    return cells


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    return [f"copy_rate:{spec['copies']['extractor']}"]
