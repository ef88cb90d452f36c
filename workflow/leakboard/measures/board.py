"""The board of a track: its table with ranks, all comparisons, its controls, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from leakboard.measures.control import controls, verdict
from leakboard.measures.ranking import leaderboard
from leakboard.measures.standings import standings

ABSENT = ("failed", "missing", "skipped")  # status of a row that stands for a cell without numbers


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
    measurements: pd.DataFrame, costs: pd.DataFrame, pairs: pd.DataFrame, spec: Mapping[str, Any]
) -> Judged:
    """Judge one track. pairs: what the stage `compare` found; spec: what `rank` is told."""
    entries, headline = spec["defenses"], spec["headline"]
    table = leaderboard(measurements, costs, entries, headline, spec["contenders"])
    table, compared, smallest = standings(table, pairs, spec["gate"])
    roles = {name: entry["role"] for name, entry in entries.items()}
    sizes = {key: spec[key] for key in ("gate", "calibration", "members")}
    found = controls(measurements, roles, headline, **sizes)
    missing = _missing(measurements, table)
    said = {
        "track": spec["track"],
        **verdict(found, roles),
        "complete": not missing,
        "missing": missing,
        "smallest": smallest,
    }
    return Judged(table, compared, found, said)


def _missing(measurements: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """What lacks, in sentences: cells that say so themselves, then rows that lack something."""
    absent = measurements[measurements["status"].isin(ABSENT)]
    said = []
    for row in absent.astype(object).where(absent.notna(), "").to_dict("records"):
        seen = f" on the {row['sees']}" if row["sees"] else ""
        what = f"{row['attack']}{seen}" if row["attack"] else str(row["metric"])
        whom = f" of {row['defense']}" if row["defense"] else ""
        said.append(f"{what}{whom}, seed {row['seed']}: {row['status']}: {row['note']}")
    told = set(absent["defense"])
    for row in table.to_dict("records"):
        if row["status"] != "complete" and row["defense"] not in told:
            said.append(f"{row['defense']}: {row['status']}")
    return list(dict.fromkeys(said))
