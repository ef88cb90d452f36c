"""Draw what a person would look at."""

from __future__ import annotations

from typing import Any

import pandas as pd

from leakboard import artefacts, measurements
from leakboard.report.pictures import pictures
from leakboard.stages import Files

LISTS = {
    "defenses": ("samples", "tables"),
    "curves": ("curves",),
    "scores": ("scores",),
    "attacks": (),
}
OPTIONAL = ("extraction",)


def make(spec: dict[str, Any], files: Files) -> dict[str, Any]:
    """PNG files by name. files: see the rule; `extraction` are measurements."""
    read, names = artefacts.read_table, spec["defenses"]
    pixels = (artefacts.read_npz(file)["images"] for file in files["samples"])
    tables = (read(file) for file in files["tables"])
    losses = (artefacts.read_csv(file) for file in files["curves"])
    labels = (tuple(each) for each in spec["scores"])
    scores = (read(file) for file in files["scores"])
    extracted = [row for f in files["extraction"] for row in measurements.read(f)["rows"]]
    return pictures(
        drawn=dict(zip(names, pixels, strict=True)),
        tables=dict(zip(names, tables, strict=True)),
        images=artefacts.read_npz(files["images"][0])["images"],
        background=read(files["background"][0])["similarity"].to_numpy(),
        scores=[(*label, table) for label, table in zip(labels, scores, strict=True)],
        losses=dict(zip(spec["curves"], losses, strict=True)),
        extracted=pd.DataFrame(extracted),
        grids=spec["grids"].values(),
        extractor=spec["extractor"],
        calibration=spec["calibration"],
    )
