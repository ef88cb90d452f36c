"""The ranked table of the page: one row per defense."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import pandas as pd

from leakboard.measures.shown import FORMATS, SHOWN, interval
from leakboard.measures.standings import RANKED
from leakboard.measures.strongest import ACCESS, TPR
from leakboard.report.cells import UNMEASURED, Cell, Column, Row, Table, number, text, why

ESSENTIAL = {*RANKED, *(f"{key}_p" for key in RANKED), "early_stop_difference"}
ESSENTIAL |= {"fid", "fid_ratio", "sampling_ratio"}
P = "chance of a difference to none this large if the defense did nothing, Holm-adjusted"
CAPTION = (
    "One row per defense. Lower is better; for AUC, 0.5 is best. A rank is an interval: a defense "
    "stands above another only where it leaks significantly less in one ranked column and in none "
    "significantly more (paired tests, Holm); those that share a letter are tied. Entries in gray "
    "are shown, not ranked."
)


def table(board: pd.DataFrame, measurements: pd.DataFrame, track: str) -> Table:
    """The ranked table; columns that the frame lacks are left out."""
    columns = [each for each in _columns(board) if each.key == "rank" or each.key in board]
    rows = [_row(row, columns, measurements) for row in board.to_dict("records")]
    return Table("board", f"Leaderboard of {track}", CAPTION, "Defense", columns, rows)


def _columns(board: pd.DataFrame) -> list[Column]:
    """Those of the leaderboard, with ranks before them and a p beside each ranked column."""
    hint = "rank interval over all ranked columns; letters: tied with whom"
    found = [Column("rank", "Rank", "rank", hint, "Overall")]
    known = {each.key for each in SHOWN}
    for each in SHOWN:
        key, domain = each.key, _domain(each.key, each.kind, board)
        told = each.title, each.kind, each.hint, each.group
        found.append(Column(key, *told, essential=key in ESSENTIAL, domain=domain))
        if key in RANKED and f"{key}_p" not in known:
            found.append(Column(f"{key}_p", "p vs none", "p", P, each.group))
    return found


def _domain(key: str, kind: str, board: pd.DataFrame) -> tuple[float, float] | None:
    """The ends of the rail behind a column's intervals: those of the rows that compete."""
    ends = [pd.to_numeric(board[end], errors="coerce") for end in _ends(key) if end in board]
    if kind == "auc" or len(ends) < 2:
        return (0.0, 1.0) if kind == "auc" else None
    inside = (board["unranked"].fillna("") == "") | (board["defense"] == "none")
    widest = max(float(end[inside].abs().max()) for end in ends)  # NaN where there is none
    if not isfinite(widest):
        return None
    return (-widest, widest) if kind == "points" else (0.0, widest)


def _ends(key: str) -> tuple[str, str]:
    return f"{key}_low", f"{key}_high"


def _row(row: Mapping[Any, Any], columns: list[Column], measurements: pd.DataFrame) -> Row:
    cells = [_cell(row, column, measurements) for column in columns]
    return Row(str(row["defense"]), cells, badges(row), bool(text(row.get("unranked"))))


def badges(row: Mapping[Any, Any]) -> list[tuple[str, str, str]]:
    """(kind, text, hint): what an entry is, if no contestant, and why it is not ranked."""
    found = []
    role, unranked = text(row.get("role")), text(row.get("unranked"))
    if role and role != "contestant":
        found.append(("reference", role, unranked))
    elif unranked:
        kind = "ruined" if unranked.startswith("ruined") else "unranked"
        kind = "incomplete" if unranked.startswith("incomplete") else kind
        found.append((kind, kind, unranked))
    status = text(row["status"])
    if status not in ("", "complete") and not any(kind == "incomplete" for kind, *_ in found):
        found.append(("incomplete", "incomplete", status))
    return found


def _cell(row: Mapping[Any, Any], column: Column, measurements: pd.DataFrame) -> Cell:
    if column.kind == "rank":
        return _rank(row)
    key, kind = column.key, column.kind
    value = number(row[key])
    opens = _opens(row, key)
    if not isfinite(value):
        return Cell(reason=_reason(row, column, measurements), opens=opens)
    if kind == "points":
        return _early(row, value, opens)
    low, high = (number(row.get(end)) for end in _ends(key))
    spread = number(row.get(f"{key}_seeds_sd"))
    seeds = f"seeds ± {FORMATS[kind](spread)}" if isfinite(spread) else ""
    under = (interval(kind, low, high), *_told(row, key), seeds)
    mark = letters(text(row.get(f"{key}_group")))
    return Cell(
        FORMATS[kind](value), tuple(filter(None, under)), value, low, high, mark=mark, opens=opens
    )


def _told(row: Mapping[Any, Any], key: str) -> list[str]:
    """The attack that gave a number, and what to know about it."""
    stem = key.removesuffix("_auc")
    return [text(row.get(f"{stem}_{said}")) for said in ("attack", "note")]


def _rank(row: Mapping[Any, Any]) -> Cell:
    low, high = number(row.get("rank_low")), number(row.get("rank_high"))
    if not isfinite(low):
        return Cell(reason=text(row.get("unranked")) or "not ranked")
    shown = f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}"
    return Cell(shown, value=low, low=low, high=high, mark=letters(text(row.get("group"))))


def letters(group: str) -> str:
    """Letters of tie groups, three in a row and more as `b–f`."""
    runs: list[str] = []
    for letter in group:
        if runs and ord(letter) == ord(runs[-1][-1]) + 1:
            runs[-1] += letter
        else:
            runs.append(letter)
    return "".join(run if len(run) < 3 else f"{run[0]}–{run[-1]}" for run in runs)


def _early(row: Mapping[Any, Any], value: float, opens: str) -> Cell:
    keys = (*_ends("early_stop_difference"), "early_stop_p")
    low, high, p = (number(row.get(key)) for key in keys)
    ends = f"{points(low)} to {points(high)}" if isfinite(low) and isfinite(high) else ""
    said = FORMATS["p"](p) if isfinite(p) else ""
    tested = (f"p {said}" if said.startswith("<") else f"p = {said}") if said else ""
    under = (ends, tested, text(row.get("early_stop")))
    return Cell(points(value), tuple(filter(None, under)), value, low, high, opens=opens)


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    shown = f"{100 * share:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown.replace("-", "−")


def _opens(row: Mapping[Any, Any], key: str) -> str:
    sees = key.partition("_")[0]
    if sees in ACCESS:
        return f"{text(row.get(f'{sees}_attack'))}|{sees}"
    if key.startswith("extracted"):
        return "*|extraction"
    plain = ("copy_rate", "memorized", "nl2", "fid", "kid", "early_stop")
    return "|" if key.startswith(plain) else ""  # costs are no measurements


def _reason(row: Mapping[Any, Any], column: Column, rows: pd.DataFrame) -> str:
    if column.kind == "p":
        undefended = text(row.get("role")) == "undefended" or row["defense"] == "none"
        return "none is what the others are compared with" if undefended else "not compared"
    if column.kind == "points":
        return "compared for contestants alone"
    if column.group == "Extraction":
        return "no extraction attack was tried on it"
    if column.key.endswith("_tpr"):
        sees = column.key.removesuffix("_tpr")
        mine = (rows["defense"] == row["defense"]) & (rows["sees"] == sees)
        return why(rows[mine & (rows["metric"] == TPR)])
    return UNMEASURED
