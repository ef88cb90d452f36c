"""Count the copies, and compare with the undefended model: rows of one defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, subset
from leakboard.measures import copying
from leakboard.measures.measure import Measure
from leakboard.randomness import numpy_generator
from leakboard.stages import Files

Spec = dict[str, Any]


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about drawn pictures. files: table, undefended, background, features, pools, split."""
    table: Any = artefacts.read_table(files["table"][0], spec["similarity"])
    strangers = artefacts.read_table(files["background"][0], spec["background"])
    background = strangers["similarity"].to_numpy()
    found = copying.copies(table, background, **spec["copies"])
    if spec["compared"]:
        undefended: Any = artefacts.read_table(files["undefended"][0], spec["undefended"])
        found += copying.compared(undefended, table, background, **spec["compared"])
    split = subset.read_split(files["split"][0])
    if spec["duplicated"]:
        members = split[split["pool"] == "members"]
        index, times = members["index"].to_numpy(), members["times"].to_numpy()
        found += copying.duplicated(table, background, index, times, **spec["duplicated"])
    drawn = artefacts.read_npz(files["features"][0], spec["features"])["features"]
    audited = subset.audited(split)
    real = artefacts.read_npz(files["pools"][0], spec["pools"])["real"][audited["index"]]
    member = (audited["pool"] == "members").to_numpy()
    rng = numpy_generator("permutation", *spec["names"])
    found += copying.permuted(drawn, real, member, rng, **spec["permuted"])
    return [(spec, found)]


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    return [f"copy_rate:{spec['copies']['extractor']}"]
