"""The page's tables beside the ranked one: heat maps, controls, trainings, reported numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pandas as pd

from leakboard.counterparts import EXPLAINED
from leakboard.measures.shown import FORMATS, interval
from leakboard.measures.strongest import ACCESS
from leakboard.report.cells import Cell, Column, Row, Table, number, text, why

UNTOLD = "does not tell about this defense"
CONTROLS = (
    "Entries whose outcome is known beforehand. One outside its expected interval makes the whole "
    "board invalid."
)
TRAININGS = "Images: how many it learned from. Epochs: how often it saw each of them."
KINDS = {
    **dict.fromkeys(("copy_rate", "memorization_ratio", "ams", "ums", "nl2<1.4", "share"), "rate"),
    **dict.fromkeys(("auc", "probability"), "auc"),
    **dict.fromkeys(("fid", "kid"), "score"),
    **dict.fromkeys(("p", "permutation_mean_p"), "p"),
}


@dataclass(frozen=True)
class Source:
    """A paper's table beside our numbers: where it stands, how it was measured, what differs."""

    title: str
    protocol: str
    differs: str
    doubts: str
    table: Table


def heats(measurements: pd.DataFrame, board: pd.DataFrame, track: str) -> list[Table]:
    """AUC of every attack against every defense, by access, the strongest attack first."""
    aucs = measurements[(measurements["metric"] == "auc") & measurements["sees"].isin(ACCESS)]
    keys, ends = ["sees", "attack", "defense"], ["value", "ci_low", "ci_high"]
    numbers = aucs.assign(**{end: pd.to_numeric(aucs[end], errors="coerce") for end in ends})
    means = numbers.groupby(keys)[ends].mean()
    seeds = numbers.groupby(keys)["value"].std()
    found: dict[tuple[str, str, str], Any] = {
        key: (*row, spread)
        for key, row, spread in zip(means.index, means.to_numpy().tolist(), seeds, strict=True)
    }
    made = []
    for sees in ACCESS:
        here = numbers[numbers["sees"] == sees]
        strength = here.groupby("attack")["value"].mean().sub(0.5).abs().fillna(-1)
        attacks = sorted(map(str, strength.index), key=lambda name: (-strength[name], name))
        rows = []
        for row in board.to_dict("records"):
            name = str(row["defense"])
            cells = [_warm(found.get((sees, a, name)), here, a, name, sees) for a in attacks]
            rows.append(Row(name, cells, muted=bool(text(row.get("unranked")))))
        columns = [Column(f"{a}|{sees}", a, "auc", f"AUC of {a} on the {sees}") for a in attacks]
        label = f"AUC of attacks that see the {sees}, {track}"
        made.append(Table("heat", label, sees, "Defense", columns, rows))
    return made


def _warm(ends: Any, rows: pd.DataFrame, attack: str, name: str, sees: str) -> Cell:
    opens = f"{attack}|{sees}"
    if ends is None or not isfinite(ends[0]):
        mine = rows[(rows["attack"] == attack) & (rows["defense"] == name)]
        return Cell(reason=why(mine) if len(mine) else UNTOLD, opens=opens)
    value, low, high, spread = ends
    seeds = f"seeds ± {FORMATS['auc'](spread)}" if isfinite(spread) else ""
    under = tuple(filter(None, (interval("auc", low, high), seeds)))
    heat = round(10 * min(abs(2 * value - 1), 1))  # below one half leaks as well
    return Cell(FORMATS["auc"](value), under, value, low, high, heat=heat, opens=opens)


def controls(frame: pd.DataFrame, track: str) -> Table | None:
    """Every control with what it came out at and what was expected; None without controls."""
    if not len(frame):
        return None
    columns = [
        Column("verdict", "Verdict"),
        Column("what", "What is checked"),
        Column("value", "Found", "number", "with its 95 % interval"),
        Column("expected", "Expected", "words"),
        Column("words", "In words"),
    ]
    rows = []
    for row in frame.sort_values("passed", kind="stable").to_dict("records"):
        kind = _kind(text(row["metric"]))
        low, high = number(row["expected_low"]), number(row["expected_high"])
        expected = interval(kind, low, high) if isfinite(high) else f"above {FORMATS[kind](low)}"
        by = f"of {row['attack']} ({row['sees']})" if text(row["attack"]) else ""
        checked = " ".join(filter(None, (text(row["metric"]), by)))
        passed = str(row["passed"]) == "True"
        seed = f"seed {row['seed']:g}" if isfinite(number(row["seed"])) else ""
        cells = [
            Cell("✓ as expected" if passed else "✕ outside"),
            Cell(checked, tuple(filter(None, (seed,)))),
            _found(row, "value", kind, ("ci_low", "ci_high")),
            Cell(expected),
            Cell(text(row["words"])),
        ]
        badge = ("reference", text(row["role"]), "")
        rows.append(Row(text(row["control"]), cells, [] if passed else [badge]))
    return Table("controls", f"Controls of {track}", CONTROLS, "Control", columns, rows)


def _kind(metric: str) -> str:
    return KINDS.get(metric.partition(":")[0].partition(" ")[0], "number")


def _found(row: Mapping[Any, Any], key: str, kind: str, ends: tuple[str, str] | None) -> Cell:
    value = number(row.get(key))
    if not isfinite(value):
        return Cell()
    low, high = (number(row.get(end)) for end in ends) if ends else (float("nan"),) * 2
    under = tuple(filter(None, (interval(kind, low, high),)))
    return Cell(FORMATS[kind](value), under, value, low, high)


def trainings(frame: pd.DataFrame, track: str) -> Table | None:
    """Every training with what it learned and how long; None where there was none."""
    if not len(frame):
        return None
    columns = [
        Column("lesson", "Learns"),
        Column("images", "Images", "number"),
        Column("steps", "Steps", "number"),
        Column("epochs", "Epochs", "number"),
        Column("seconds", "Time", "seconds"),
        Column("peak_memory_mb", "Memory", "memory"),
    ]
    rows = []
    for row in frame.to_dict("records"):
        lesson = f"{text(row['trainer'])} on {text(row['data'])}"
        start = f"from {text(row['init'])}" if text(row["init"]) else ""
        under = (start, text(row["teachers"]), f"seed {text(row['seed'])}")
        cells = [Cell(lesson, tuple(filter(None, under)))]
        cells += [_found(row, column.key, column.kind, None) for column in columns[1:]]
        rows.append(Row(text(row["network"]), cells))
    return Table("trainings", f"Trainings of {track}", TRAININGS, "Network", columns, rows)


def reported(frame: pd.DataFrame, track: str) -> tuple[list[Source], int]:
    """Each paper's table with what is measured here of the same, and how many numbers have none."""
    if not len(frame):
        return [], 0
    columns = [
        Column("metric", "Number", "words"),
        Column("setting", "Of what", "words"),
        Column("reported", "Reported", "number"),
        Column("measured", "Measured here", "number"),
        Column("measured_metric", "As", "words"),
    ]
    met = frame[frame["measured"].notna()]
    found = []
    for (paper, source), mine in met.groupby(["paper", "source"], sort=False):
        rows = [Row(text(row["defense"]), _beside(row)) for row in mine.to_dict("records")]
        title, first = f"{paper}, {source}", mine.iloc[0]
        label = f"{title}, beside {track}"
        table = Table("reported", label, EXPLAINED, "Defense", columns, rows)
        said = {key: text(first[key]) for key in ("protocol", "differs", "doubts")}
        found.append(Source(title=title, table=table, **said))
    return found, len(frame) - len(met)


def _beside(row: Mapping[Any, Any]) -> list[Cell]:
    kind = KINDS.get(text(row["unit"]), "number")
    by = f"{row['attack']} on the {row['sees']}" if text(row["attack"]) else ""
    told = _found(row, "reported", kind, None)
    told = Cell(f"{text(row['bound'])}{told.text}", value=told.value)
    of = tuple(filter(None, (text(row["setting"]), text(row["note"]))))
    return [
        Cell(text(row["metric"]), (by,) if by else ()),
        Cell(text(row["dataset"]) or "—", of),
        told,
        _found(row, "measured", kind, ("ci_low", "ci_high")),
        Cell(text(row["measured_metric"])),
    ]
