"""Compare the pictures with the held-out images: FID and KID of every defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, subset
from leakboard.measures.measure import Measure
from leakboard.quality import out_of_class, quality
from leakboard.stages import Files

Spec = dict[str, Any]
LISTS = {"features": ("features",), "cells": ()}


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about drawn pictures. files: features, pools, split.

    The features of one defense at a time are in memory, beside those of the real images.
    """
    given = dict(zip(spec["features"], files["features"], strict=True))
    split = subset.read_split(files["split"][0])
    rows = subset.rows_of_pool(split, "held-out")
    real, classes = (
        artefacts.read_rows(files["pools"][0], spec["pools"], name, rows)
        for name in ("real", "classes")
    )
    cells = []
    for cell in spec["cells"]:
        drawn = artefacts.read_npz(given[cell["features"]], cell["features"])
        found = quality(real, drawn["features"], cell["extractor"])
        if "classes" in drawn and (drawn["asked"] >= 0).all():
            wrong = classes != split["label"].to_numpy()[rows]
            other = drawn["classes"] != drawn["asked"]
            found += out_of_class(other, wrong, cell["extractor"])
        cells.append((cell, found))
    return cells


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    return [f"{name}:{spec['extractor']}" for name in ("fid", "kid")]
