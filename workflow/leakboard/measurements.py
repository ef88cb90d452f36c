"""Measurements: rows that say what they are, from one cell's JSON to the whole track's table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from leakboard.artefacts import hashed, read_json, write_json
from leakboard.digests import digest
from leakboard.errors import UserError
from leakboard.measures.measure import Measure
from leakboard.stages import Files

COLUMNS = [
    *("track", "seed", "defense", "sampler", "attack", "sees", "metric"),
    *("value", "ci_low", "ci_high", "n", "unit", "better", "reported", "digest", "status", "note"),
]
NUMBERS = ("value", "ci_low", "ci_high", "reported")
LACKING = ("failed", "missing")  # what the status of a row says that stands for a cell without any
Measured = tuple[Mapping[str, Any], Iterable[Measure]]  # a cell: its spec, its numbers


def write(
    path: str | Path, spec: Mapping[str, Any], files: Files, cells: Iterable[Measured]
) -> None:
    """Write the rows of a stage's cells into one file that says what they were made from.

    {"stage", "spec": the whole of it, "inputs": name -> [[path, SHA-256], ...], "rows"}
    """
    content = {"stage": spec["stage"], "spec": spec, "inputs": hashed(files), "rows": rows(cells)}
    write_json(path, content)


def read(path: str | Path) -> dict[str, Any]:
    """The content of a measurement file, as `write` wrote it; UserError where it is none."""
    content = read_json(path)
    if not isinstance(content, dict) or not {"stage", "spec", "inputs", "rows"} <= content.keys():
        raise UserError(
            f"{path}: does not say what its rows were made from, as files of this version do; "
            f"remove it and run again"
        )
    return content


def rows(cells: Iterable[Measured]) -> list[dict[str, Any]]:
    """The rows of cells: `about` of a cell's spec fills the first columns, its digest names it."""
    return [row for spec, measures in cells for row in _rows(spec, measures)]


def absent(
    spec: Mapping[str, Any], metrics: Iterable[str], status: str, note: str
) -> list[dict[str, Any]]:
    """Rows without a number of a cell that has none, and the reason in their status and note."""
    none = {"value": None, "ci_low": None, "ci_high": None, "n": None, "unit": "", "better": ""}
    about = {key: value for key, value in spec["about"].items() if key in COLUMNS}
    said = {**about, **none, "digest": digest(spec), "status": status, "note": note}
    reported = spec["about"]["reported"]
    return [{**said, "metric": each, "reported": reported.get(each)} for each in metrics]


def cells(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The specs of the cells in a file: most hold one."""
    return spec.get("cells", [spec])


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


def gather(files: Files, digests: Mapping[str, Sequence[Sequence[str]]]) -> pd.DataFrame:
    """All rows of a track in one table with the columns COLUMNS, stage by stage, file by file.

    `digests` are what the rows of each file must carry, cell by cell; both by measurement stage.
    Raises UserError naming the file whose rows carry another digest, or that lacks a cell.
    """
    found: list[dict[str, Any]] = []
    pairs = [pair for stage in digests for pair in zip(files[stage], digests[stage], strict=True)]
    for path, expected in pairs:
        content = read(path)["rows"]
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
        found += content
    return table(found)


def table(found: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table with the columns COLUMNS; whole numbers stay whole where some are absent."""
    made = pd.DataFrame(list(found), columns=COLUMNS)
    for column in ("seed", "n"):
        made[column] = made[column].astype("Int64")
    for column in NUMBERS:
        made[column] = made[column].astype("float64")
    return made


def lacking(table: pd.DataFrame) -> list[str]:
    """Of each cell that failed or was not measured, a sentence that says so, and why."""
    rows = table[table["status"].isin(LACKING)].drop_duplicates("digest")
    return [f"{name_of(row)}: {row['status']}: {row['note']}" for row in rows.to_dict("records")]


def reasons(table: pd.DataFrame) -> list[str]:
    """Why cells lack their numbers, each reason once, with the number of cells: `3 cells: ...`."""
    rows = table[table["status"].isin(LACKING)].drop_duplicates("digest")
    counts = rows["note"].value_counts(sort=False)
    return [f"{n} cell{'s' * (n != 1)}: {note}" for note, n in counts.items()]


def name_of(row: Mapping[Any, Any]) -> str:
    """What a row is, in words: `auc of loss (weights) on none, seed 0`."""
    about: dict[str, Any] = {k: "" if pd.isna(row.get(k)) else row[k] for k in COLUMNS[1:7]}
    words = [about["metric"]]
    if about["attack"]:
        words.append(f"of {about['attack']} ({about['sees']})")
    if about["defense"]:
        words.append(f"on {about['defense']}")
    seed = "" if about["seed"] == "" else f", seed {about['seed']:.0f}"
    return " ".join(words) + seed


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
