"""The board of a track: its table with ranks, all comparisons, its controls, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from leakboard.measures.control import controls, verdict
from leakboard.measures.ranking import leaderboard
from leakboard.measures.standings import standings


@dataclass(frozen=True)
class Judged:
    """table: see `ranking` and `standings`; compared: see `standings`; controls: see `control`.

    verdict: track; valid, reasons, warnings (see `control.verdict`); complete and `missing`, a
    sentence for each cell without numbers; smallest (see `standings`).
    """

    table: pd.DataFrame
    compared: pd.DataFrame
    controls: pd.DataFrame
    verdict: dict[str, Any]


def judged(
    measurements: pd.DataFrame,
    costs: pd.DataFrame,
    pairs: pd.DataFrame,
    spec: Mapping[str, Any],
    reasons: Sequence[str] = (),
) -> Judged:
    """Judge one track. pairs: what the stage `compare` found; spec: what `rank` is told.

    reasons: why cells lack their numbers, of rows whose status is neither ok nor unresolved.
    """
    entries, headline = spec["defenses"], spec["headline"]
    table = leaderboard(measurements, costs, entries, headline, spec["contenders"])
    table, compared, smallest = standings(table, pairs, spec["gate"])
    roles = {name: entry["role"] for name, entry in entries.items()}
    given = ("gate", "calibration", "members", "leaks")
    sizes = {key: spec[key] for key in given if key in spec}
    found = controls(measurements, roles, headline, **sizes)
    lost = ~measurements["status"].isin(["", "ok", "unresolved"])
    missing = _missing(reasons, set(measurements.loc[lost, "defense"]), table)
    said = {
        "track": spec["track"],
        **verdict(found, roles),
        "complete": not missing,
        "missing": missing,
        "smallest": smallest,
    }
    return Judged(table, compared, found, said)


def _missing(reasons: Sequence[str], absent: set[str], table: pd.DataFrame) -> list[str]:
    """What lacks, in sentences: the reasons that cells give themselves, then rows without any."""
    silent = table[(table["status"] != "complete") & ~table["defense"].isin(absent)]
    return [
        *reasons,
        *(f"{row['defense']}: {row['status']}" for row in silent.to_dict("records")),
    ]
