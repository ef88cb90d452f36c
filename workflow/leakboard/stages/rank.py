"""Judge the track: ranks, comparisons, controls, and the verdict over all of it."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, measurements
from leakboard.costs import costs, trainings
from leakboard.measures.board import judged
from leakboard.measures.shown import to_markdown
from leakboard.stages import Files

LISTS = {"attacks": (), "contenders": ()}
OPTIONAL = TIMED = ("trained", "drawn")  # what jobs took: no two runs take the same


def make(spec: dict[str, Any], files: Files) -> dict[str, Any]:
    """csv and md: the leaderboard; comparisons, controls, trainings: tables; verdict.

    files: measurements, compared, trained, drawn.
    """
    rows = artefacts.read_table(files["measurements"][0], spec["gathered"])
    measurements.check(rows, spec["digests"])
    pairs = artefacts.read_table(files["compared"][0], spec["compared"])
    perf = [artefacts.read_json(f) for f in (*files["trained"], *files["drawn"])]
    found = judged(rows, costs(perf, spec["trainings"]), pairs, spec, measurements.reasons(rows))
    return {
        "csv": found.table,
        "md": to_markdown(found.table, found.verdict),
        "comparisons": found.compared,
        "controls": found.controls,
        "verdict": found.verdict,
        "trainings": trainings(perf, spec["networks"]),
    }
