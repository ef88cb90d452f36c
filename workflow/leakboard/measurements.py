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
    write_cells(path, [(spec, measures)])


def write_cells(
    path: str | Path, cells: Iterable[tuple[Mapping[str, Any], Iterable[Measure]]]
) -> None:
    """Write the rows of several cells into one file, each with the digest of its own spec."""
    write_json(path, [row for spec, measures in cells for row in _rows(spec, measures)])


def _rows(spec: Mapping[str, Any], measures: Iterable[Measure]) -> list[dict[str, Any]]:
    about = spec["about"]
    names = {key: about[key] for key in COLUMNS if key in about and key != "reported"}
    return [
        {
            **names,
            **{key: _plain(value) for key, value in vars(measure).items()},
            "reported": about["reported"].get(measure.metric),
            "digest": digest(spec),
        }
        for measure in measures
    ]


def gather(
    files: Mapping[str, Sequence[str]], digests: Mapping[str, Sequence[Sequence[str]]]
) -> pd.DataFrame:
    """All rows of a track in one table with the columns COLUMNS, stage by stage, file by file.

    `digests` are what the rows of each file must carry, cell by cell; both by measurement stage.
    Raises UserError naming the file whose rows carry another digest, or that lacks a cell.
    """
    rows: list[dict[str, Any]] = []
    pairs = [pair for stage in digests for pair in zip(files[stage], digests[stage], strict=True)]
    for path, expected in pairs:
        content = read_json(path)
        for row in content:
            if row["digest"] not in expected:
                raise UserError(
                    f"{path}: '{row['metric']}' was measured under another configuration (digest "
                    f"{row['digest']}, expected {' or '.join(expected)}); remove the file and run "
                    f"again"
                )
        if absent := set(expected) - {row["digest"] for row in content}:
            raise UserError(
                f"{path}: nothing was measured under the present configuration (digest "
                f"{', '.join(sorted(absent))}); remove the file and run again"
            )
        rows += content
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["seed"] = table["seed"].astype("Int64")
    for column in NUMBERS:
        table[column] = table[column].astype("float64")
    return table


def check(table: pd.DataFrame, digests: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Refuse a table with rows that the present configuration does not ask for, by name."""
    known = {d for files in digests.values() for cells in files for d in cells}
    stale = table[~table["digest"].isin(known)]
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
