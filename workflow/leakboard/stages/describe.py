"""Judge the judge: rows on whether an extractor knows copies from strangers."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, subset
from leakboard.measures import copying
from leakboard.measures.measure import Measure
from leakboard.neighbors import nearest
from leakboard.stages import Files

Spec = dict[str, Any]


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about held-out images. files: pools, background, split."""
    rows = subset.rows_of_pool(subset.read_split(files["split"][0]), "held-out")
    background: Any = artefacts.read_table(files["background"][0], spec["background"])
    real, altered = (
        artefacts.read_rows(files["pools"][0], spec["pools"], name, rows)
        for name in ("real", "altered")
    )
    of = nearest(altered, real, 1).index[:, 0]
    found = copying.described(real, altered, of, background, **spec["how"])
    return [(spec, found)]


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    return [f"copy_recall:{spec['how']['extractor']}"]
