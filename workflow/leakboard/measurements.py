"""Measurements: rows that say what they are, from one cell's JSON to the whole track's table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from leakboard.artefacts import read_json, write_json
from leakboard.digests import digest
from leakboard.errors import UserError
from leakboard.measures.measure import Measure

COLUMNS = [
    *("track", "seed", "defense", "sampler", "attack", "sees", "metric"),
    *("value", "ci_low", "ci_high", "n", "unit", "better", "reported", "digest", "status", "note"),
]
NUMBERS = ("value", "ci_low", "ci_high", "reported")


def write_cell(path: str | Path, spec: Mapping[str, Any], measures: Iterable[Measure]) -> None:
    """Write the rows of one cell; `spec["about"]` fills their first columns."""
    about = spec["about"]
    names = {key: about[key] for key in COLUMNS if key in about and key != "reported"}
    rows = [
        {
            **names,
            **{key: _plain(value) for key, value in vars(measure).items()},
            "reported": about["reported"].get(measure.metric),
            "digest": digest(spec),
        }
        for measure in measures
    ]
    write_json(path, rows)


def gather(
    cells: Mapping[str, Sequence[str]], digests: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """All rows of a track in one table with the columns COLUMNS, stage by stage, cell by cell.

    `cells` are the files and `digests` what their rows must carry, both by measurement stage.
    Raises UserError naming the cell whose rows carry another digest.
    """
    rows: list[dict[str, Any]] = []
    pairs = [pair for stage in digests for pair in zip(cells[stage], digests[stage], strict=True)]
    for path, expected in pairs:
        content = read_json(path)
        for row in content:
            if row["digest"] != expected:
                raise UserError(
                    f"{path}: '{row['metric']}' was measured under another configuration (digest "
                    f"{row['digest']}, expected {expected}); remove the file and run again"
                )
        rows += content
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["seed"] = table["seed"].astype("Int64")
    for column in NUMBERS:
        table[column] = table[column].astype("float64")
    return table


def check(table: pd.DataFrame, digests: Mapping[str, Sequence[str]]) -> None:
    """Refuse a table with rows that the present configuration does not ask for, by name."""
    stale = table[~table["digest"].isin({d for some in digests.values() for d in some})]
    if len(stale):
        row = stale.iloc[0]
        raise UserError(
            f"measurements: {len(stale)} rows were measured under another configuration, the first "
            f"is {row['metric']} of {row['defense'] or row['track']} (digest {row['digest']}); run "
            f"the workflow again before ranking"
        )


def _plain(value: Any) -> Any:
    """JSON knows no NaN: absent values are null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if hasattr(value, "item") else value
