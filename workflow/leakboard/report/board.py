"""The ranked table of the page: one row per defense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import pandas as pd

from leakboard.measures.ranking import ACCESS, FORMATS, SHOWN, TPR, interval
from leakboard.report.cells import UNMEASURED, Cell, Column, Row, Table, number, text, why

RANKED = ("copy_rate", "weights_auc", "predictor_auc", "images_auc")
LEFT_OUT = {"copy_p"}  # a p against none stands beside every ranked column
ESSENTIAL = {*RANKED, "fid", "sampling_ratio"}
EARLY = ("early_stop_low", "early_stop_high")
ROLES = {
    "undefended": "the model without a defense",
    "copy-machine": "returns training images: every copy measure must fire",
    "never-saw-members": "trained without the members: every membership attack must fail",
    "noise": "private and useless: must fail the utility gate",
    "early-stop": "the network stopped early: the baseline that a defense must beat",
}
CAPTION = (
    "One row per defense. Lower is better; for AUC, 0.5 is best. A rank is an interval: a defense "
    "stands above another only where it leaks significantly less in one ranked column and in none "
    "significantly more (paired tests, Holm); those that share a letter are tied. Entries in gray "
    "are shown, not ranked."
)


@dataclass(frozen=True)
class Shown:
    """One column: what it is called, and what its cells are made of."""

    column: Column
    source: str  # the column of leaderboard.csv


def table(board: pd.DataFrame, measurements: pd.DataFrame, track: str) -> Table:
    """The ranked table; columns that the frame lacks are left out."""
    shown = [each for each in _shown(board) if each.source in board]
    rows = [_row(row, shown, measurements) for row in board.to_dict("records")]
    columns = [each.column for each in shown]
    return Table("board", f"Leaderboard of {track}", CAPTION, "Defense", columns, rows)


def _shown(board: pd.DataFrame) -> list[Shown]:
    hint = "rank interval over all ranked columns; letters: tied with whom"
    found = [Shown(Column("rank", "Rank", "rank", hint, "Overall"), "rank_low")]
    gain = "copy rate minus that of the network stopped early, in points; below 0 it helps"
    ends = [pd.to_numeric(board[key], errors="coerce") for key in EARLY if key in board]
    widest = max((float(end.abs().max()) for end in ends), default=nan)
    domain = (-widest, widest) if isfinite(widest) else None
    early = Column("early_stop_difference", "vs early stop", "points", gain, "Copies", domain=domain)
    for each in SHOWN:
        if each.key in LEFT_OUT:
            continue
        domain = _domain(each.key, each.kind, board)
        essential = each.key in ESSENTIAL
        column = Column(
            each.key, each.title, each.kind, each.hint, each.group, essential, domain=domain
        )
        found.append(Shown(column, each.key))
        if each.key in RANKED:
            hint = "probability of a difference to none this large by chance, Holm-adjusted"
            key = f"{each.key}_p"
            found.append(Shown(Column(key, "p vs none", "p", hint, each.group), key))
        if each.key == "copy_rate":
            found.append(Shown(early, "early_stop_difference"))
        if each.key == "fid":
            hint = "FID over that of none; the utility gate is set on this"
            column = Column("fid_ratio", "over none", "ratio", hint, each.group)
            found.append(Shown(column, "fid_ratio"))
    return found


def _domain(key: str, kind: str, board: pd.DataFrame) -> tuple[float, float] | None:
    if f"{key}_high" not in board:
        return None
    if kind == "auc":
        return 0.0, 1.0
    most = pd.to_numeric(board[f"{key}_high"], errors="coerce")
    if "unranked" in board:  # one ruined entry would press all others against the left
        inside = (board["unranked"].fillna("") == "") | (board["defense"] == "none")
        most = most[inside] if most[inside].notna().any() else most
    top = most.max()
    return (0.0, float(top)) if isfinite(top) else None


def _row(row: Mapping[Any, Any], shown: list[Shown], measurements: pd.DataFrame) -> Row:
    cells = [_cell(row, each.column, measurements) for each in shown]
    return Row(str(row["defense"]), cells, badges(row), bool(text(row.get("unranked"))))


def badges(row: Mapping[Any, Any]) -> list[tuple[str, str, str]]:
    """(kind, text, hint): what an entry is, if no contestant, and why it is not ranked."""
    found = []
    role, unranked = text(row.get("role")), text(row.get("unranked"))
    if role and role != "contestant":
        found.append(("reference", role, ROLES.get(role, "a control")))
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
    low, high = (number(row.get(f"{key}_{end}")) for end in ("low", "high"))
    spread = number(row.get(f"{key}_seeds_sd"))
    seeds = f"seeds ± {FORMATS[kind](spread)}" if isfinite(spread) else ""
    under = (interval(kind, low, high), *_told(row, key), seeds)
    mark = text(row.get(f"{key}_group"))
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
    return Cell(shown, value=low, low=low, high=high, mark=text(row.get("group")))


def _early(row: Mapping[Any, Any], value: float, opens: str) -> Cell:
    low, high, p = (number(row.get(f"early_stop_{end}")) for end in ("low", "high", "p"))
    ends = f"{points(low)} to {points(high)}" if isfinite(low) and isfinite(high) else ""
    said = FORMATS["p"](p) if isfinite(p) else ""
    tested = (f"p {said}" if said.startswith("<") else f"p = {said}") if said else ""
    under = (ends, tested)
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
    return "|" if key.startswith(plain) else ""


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
