"""Make one row of each defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, measurements
from leakboard.costs import costs, trainings
from leakboard.measures import control, ranking
from leakboard.stages import Files

LISTS = {"attacks": (), "contenders": ()}
OPTIONAL = TIMED = ("trained", "drawn")  # what jobs took: no two runs take the same


def make(spec: dict[str, Any], files: Files) -> dict[str, Any]:
    """csv and md: the leaderboard; trainings: a table. files: measurements, trained, drawn."""
    rows = artefacts.read_table(files["measurements"][0], spec["gathered"])
    measurements.check(rows, spec["digests"])
    perf = [artefacts.read_json(f) for f in (*files["trained"], *files["drawn"])]
    spent = costs(perf, spec["trainings"])
    board = ranking.leaderboard(rows, spent, spec["defenses"], spec["headline"], spec["contenders"])
    text = ranking.to_markdown(board, control.blind(rows))
    if reasons := measurements.reasons(rows):
        text = "\n".join(["**INCOMPLETE**", "", *(f"- {each}" for each in reasons), "", text])
    return {"csv": board, "md": text, "trainings": trainings(perf, spec["networks"])}
