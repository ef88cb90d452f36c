"""Draw what a person would look at."""

from __future__ import annotations

from typing import Any

import pandas as pd

from leakboard import artefacts, lists, measurements
from leakboard.report.pictures import Shown, pictures
from leakboard.stages import Files

LISTS = {
    "defenses": ("samples", "tables"),
    "curves": ("curves",),
    "scores": ("scores",),
    "lines": (),
    "attacks": (),
}
OPTIONAL = ("extraction",)


def make(spec: dict[str, Any], files: Files) -> dict[str, Any]:
    """Pictures and what charts are drawn from, by name: see `pictures`.

    files: see the rule; `extraction` are measurements.
    """
    read = artefacts.read_table
    each = zip(spec["defenses"], lists.blocks(LISTS, spec, files, "defenses"), strict=True)
    shown = {
        name: Shown.of(some["samples"], read(some["tables"][0]), spec["gallery"])
        for name, some in each
    }
    losses = (artefacts.read_csv(file) for file in files["curves"])
    pairs = zip(spec["scores"], files["scores"], strict=True)
    extracted = [row for f in files["extraction"] for row in measurements.read(f)["rows"]]
    return pictures(
        shown=shown,
        images=artefacts.read_npz(files["images"][0])["images"],
        background=read(files["background"][0])["similarity"].to_numpy(),
        lines=[tuple(line) for line in spec["lines"]],
        scores={digest: read(file, digest) for digest, file in pairs},
        losses=dict(zip(spec["curves"], losses, strict=True)),
        extracted=pd.DataFrame(extracted),
        spec=spec,
    )
