"""The leaderboard as one HTML file that asks no host for anything."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from math import isfinite
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from leakboard.measures.control import blind
from leakboard.measures.ranking import ACCESS, FORMATS, SHOWN, TPR, Column, interval, told
from leakboard.report import extraction
from leakboard.report.cells import UNMEASURED, Cell, span, text, why

CAPTIONS = {
    "samples": (
        "What each defense draws",
        "The first samples of every defense, from the same starting noise: place by place, the "
        "grids show what a defense changed.",
    ),
    "neighbors": (
        "The closest calls",
        "Each defense's samples most similar to a training image, above that image; the number "
        "is their similarity. Two equal rows are copies.",
    ),
    "similarity": (
        "How close samples come",
        "Similarity of every sample to its nearest training image. Right of the dotted threshold "
        "a sample counts as a copy; gray is what real images never trained on look like.",
    ),
    "roc": (
        "Members found, at each price",
        "Share of members an attack finds against the share of strangers it wrongly accuses, "
        "both on log scales, one panel per attack; AUCs in parentheses. On the dotted diagonal it "
        "guesses; what matters is the far left.",
    ),
    "extraction": (
        "How far an attacker can steer",
        "What comes out when an attacker steers the drawing toward what looks like training data, "
        "the harder, the larger lambda; at 0 anybody draws. AMS is the share of pictures that copy "
        "a training image, UMS how many different ones they copy, per picture. Bars are 95% "
        "intervals; a defense that holds stays low all the way.",
    ),
    "loss": (
        "Training",
        "Loss of each denoiser while it was trained, on a log scale; that of a student is its "
        "distance from its teacher, not from the noise.",
    ),
}
FIELDS = (
    *("seed", "defense", "sampler", "attack", "sees", "metric", "value", "interval", "n"),
    *("unit", "better", "reported", "status", "note", "digest"),
)
NUMERIC = {"seed", "value", "interval", "n", "reported"}


@dataclass(frozen=True)
class Board:
    """One track: its question in a sentence, its leaderboard, every number, trainings, PNG figures.

    Figures are captioned by name up to the first `-`: samples, neighbors, similarity, roc,
    extraction, loss; another name is its own caption. contenders: see `drawings.contenders`.
    """

    track: str
    about: str
    table: pd.DataFrame
    measurements: pd.DataFrame
    trainings: pd.DataFrame
    figures: Mapping[str, bytes] = field(default_factory=dict)
    contenders: Sequence[Mapping[str, str]] = ()


def render(boards: Iterable[Board]) -> str:
    """Return the whole page; equal boards give equal text, and all of it is escaped."""
    template = resources.files("leakboard.report").joinpath("leaderboard.html.j2")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template.read_text(encoding="utf-8"))
    return page.render(boards=[_view(board) for board in boards])


def _view(board: Board) -> dict[str, Any]:
    table, measurements = board.table, board.measurements
    return {
        "track": board.track,
        "about": board.about,
        "finding": " ".join(filter(None, (_finding(table), blind(measurements)))),
        "groups": _groups(),
        "columns": SHOWN,
        "rows": [_row(row, table, measurements) for _, row in table.iterrows()],
        "notes": [_note(row) for _, row in table.iterrows()],
        "samples": _counts(table, "samples"),
        "audited": _counts(table, "audited"),
        "heats": [_heat(sees, table, measurements) for sees in ACCESS],
        "extraction": extraction.table(measurements, table["defense"], board.contenders),
        "trainings": [_training(row) for row in board.trainings.to_dict("records")],
        "figures": [_figure(name, png) for name, png in sorted(_drawn(board), key=_place)],
        "fields": [(name, name in NUMERIC) for name in FIELDS],
        "measurements": [_measurement(row) for row in measurements.to_dict("records")],
    }


def _finding(table: pd.DataFrame) -> str:
    """What happens without a defense, in a sentence; empty when it was not measured."""
    for _, row in table[table["defense"] == "none"].iterrows():
        parts = []
        if isfinite(row["copy_rate"]):
            copies = FORMATS["rate"](row["copy_rate"])
            parts.append(f"{copies} of the samples copy a training image")
        aucs = {sees: row[f"{sees}_auc"] for sees in ACCESS if isfinite(row[f"{sees}_auc"])}
        if aucs:
            sees = max(aucs, key=lambda name: aucs[name])
            parts.append(
                f"the strongest attack ({row[f'{sees}_attack']}, on the {sees}) tells members "
                f"from strangers with an AUC of "
                f"{FORMATS['auc'](aucs[sees])}"
            )
        if parts:
            return f"Without a defense, {' and '.join(parts)}."
    return ""


def _groups() -> list[tuple[str, int]]:
    names = [column.group for column in SHOWN]
    return [(name, names.count(name)) for name in dict.fromkeys(names)]


def _row(row: pd.Series, table: pd.DataFrame, measurements: pd.DataFrame) -> dict[str, Any]:
    cells = [_cell(row, column, table, measurements) for column in SHOWN]
    return {"defense": row["defense"], "status": text(row["status"]), "cells": cells}


def _cell(row: pd.Series, column: Column, table: pd.DataFrame, rows: pd.DataFrame) -> Cell:
    key, value = column.key, row[column.key]
    if pd.isna(value):
        return Cell(reason=_reason(row, column, rows))
    low, high = (row.get(f"{key}_{end}", float("nan")) for end in ("low", "high"))
    under = (interval(column.kind, low, high), *told(row, column))
    drawn = None
    if under[0]:
        start, end = (0.5, 1.0) if column.kind == "auc" else (0.0, table[f"{key}_high"].max())
        drawn = span(low, value, high, start, end)
    shown = FORMATS[column.kind](value)
    return Cell(shown, tuple(filter(None, under)), sort=repr(float(value)), span=drawn)


def _reason(row: pd.Series, column: Column, rows: pd.DataFrame) -> str:
    if column.kind == "p" and row["defense"] == "none":
        return "none is what the others are compared with"
    if column.group == "Extraction":
        return "no extraction attack was tried on it"
    if column.key.endswith("_tpr"):
        sees = column.key.removesuffix("_tpr")
        mine = (rows["defense"] == row["defense"]) & (rows["sees"] == sees)
        return why(rows[mine & (rows["metric"] == TPR)])
    return UNMEASURED


def _note(row: pd.Series) -> tuple[str, list[str]]:
    """A defense and what to know about it; `complete` goes without saying."""
    status = text(row["status"])
    words = [text(row["paper"]), text(row["caveat"]), "" if status == "complete" else status]
    return row["defense"], [word for word in words if word]


def _counts(table: pd.DataFrame, column: str) -> str:
    counts = sorted(table[column].dropna().unique())
    return " or ".join(f"{count:.0f}" for count in counts) or "an unknown number of"


def _heat(sees: str, table: pd.DataFrame, measurements: pd.DataFrame) -> dict[str, Any]:
    """AUC of every attack with this access against every defense, strongest attack first."""
    aucs = measurements[(measurements["metric"] == "auc") & (measurements["sees"] == sees)]
    numbers = aucs.assign(value=pd.to_numeric(aucs["value"], errors="coerce"))
    strength = numbers.groupby("attack")["value"].mean().fillna(0)
    attacks = sorted(strength.index, key=lambda attack: (-strength[attack], attack))
    rows = []
    for defense in table["defense"]:
        mine = numbers[numbers["defense"] == defense]
        cells = [_warm(mine[mine["attack"] == attack]) for attack in attacks]
        rows.append((defense, cells))
    return {"sees": sees, "attacks": attacks, "rows": rows}


def _warm(rows: pd.DataFrame) -> Cell:
    value = rows["value"].mean()
    if not isfinite(value):
        return Cell(reason=why(rows) if len(rows) else "does not tell about this defense")
    heat = round(min(abs(2 * value - 1), 1), 3)  # below one half leaks as well
    return Cell(FORMATS["auc"](value), sort=repr(float(value)), heat=heat)


def _drawn(board: Board) -> list[tuple[str, bytes]]:
    """The figures that show something: without a grid of strengths, that over them is empty."""
    grids = any(each["plain"] not in ("", each["metric"]) for each in board.contenders)
    return [figure for figure in board.figures.items() if grids or figure[0] != "extraction"]


def _place(figure: tuple[str, bytes]) -> tuple[int, str]:
    kinds = list(CAPTIONS)
    kind = figure[0].partition("-")[0]
    return (kinds.index(kind) if kind in kinds else len(kinds)), figure[0]


def _figure(name: str, png: bytes) -> dict[str, str]:
    kind, _, variant = name.partition("-")
    title, caption = CAPTIONS.get(kind, (name, ""))
    title += f" ({variant})" if variant and kind in CAPTIONS else ""
    source = f"data:image/png;base64,{b64encode(png).decode()}"
    return {"title": title, "caption": caption, "source": source}


def _measurement(row: Mapping[Any, Any]) -> list[Cell]:
    """One measurement as the cells named by `FIELDS`."""
    reason = ": ".join(filter(None, (text(row["status"]), text(row["note"])))) or UNMEASURED
    ends = [pd.to_numeric(row[key], errors="coerce") for key in ("ci_low", "ci_high")]
    cells = []
    for name in FIELDS:
        if name == "interval":
            shown = interval("number", *ends)
            sort = repr(float(ends[0])) if shown else ""
            cells.append(Cell(shown, sort=sort, reason="no interval"))
        elif name in NUMERIC:
            value = pd.to_numeric(row[name], errors="coerce")
            shown = FORMATS["number"](value) if isfinite(value) else text(row[name])
            sort = repr(float(value)) if isfinite(value) else shown
            cells.append(
                Cell(shown, sort=sort, reason=reason if name == "value" else "does not apply")
            )
        elif name == "digest":
            cells.append(Cell(text(row[name])[:8], sort=text(row[name]), reason="no digest"))
        else:
            cells.append(Cell(text(row[name]), reason="does not apply"))
    return cells


def _training(row: Mapping[Any, Any]) -> list[Cell]:
    """One training as the cells of its table: name, what it learned, how long."""
    lesson = f"{text(row['trainer'])} on {text(row['data'])}"
    more = [f"from {text(row['init'])}" if text(row["init"]) else "", text(row["teachers"])]
    kinds = ("number", "number", "number", "seconds", "memory")
    keys = ("images", "steps", "epochs", "seconds", "peak_memory_mb")
    numbers = []
    for key, kind in zip(keys, kinds, strict=True):
        value = pd.to_numeric(row[key], errors="coerce")
        shown = FORMATS[kind](value) if isfinite(value) else ""
        numbers.append(Cell(shown, sort=repr(float(value)) if shown else ""))
    name = Cell(text(row["network"]), (f"seed {text(row['seed'])}",))
    return [name, Cell(lesson, tuple(filter(None, more))), *numbers]
