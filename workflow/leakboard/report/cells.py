"""Tables as the page shows them: text for readers, and beside it the numbers it stands for.

Python alone writes numbers as text; a script that sorts, draws or exports takes the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any

import pandas as pd

UNMEASURED = "not measured"


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: without text it is missing, and `reason` says why."""

    text: str = ""
    under: tuple[str, ...] = ()
    value: float = nan  # what is sorted, drawn and exported
    low: float = nan
    high: float = nan
    mark: str = ""  # letters of its tie group
    reason: str = UNMEASURED
    heat: int | None = None  # 0: chance, 10: certainty
    opens: str = ""  # whose measurements it shows: "attack|sees", "|" what is drawn plainly


@dataclass(frozen=True)
class Column:
    """How a column is named; `kind` is words, or one of `ranking.FORMATS`."""

    key: str
    title: str
    kind: str = "words"
    hint: str = ""
    group: str = ""
    essential: bool = True
    domain: tuple[float, float] | None = None  # ends of the rail behind intervals


@dataclass(frozen=True)
class Row:
    """A row: its name, badges as (kind, text, hint), and a cell of each column."""

    name: str
    cells: Sequence[Cell]
    badges: Sequence[tuple[str, str, str]] = ()
    muted: bool = False


@dataclass(frozen=True)
class Table:
    """A table: `kind` is its class on the page, `label` its name for those who cannot see it."""

    kind: str
    label: str
    caption: str
    first: str  # the head of the names
    columns: Sequence[Column]
    rows: Sequence[Row] = field(default_factory=list)

    def groups(self) -> list[tuple[str, int]]:
        """(group, how many columns in a row belong to it), empty where no column has one."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found if any(name for name, _ in found) else []


def numbers(table: Table) -> dict[str, Any]:
    """A table's numbers as JSON, column by column, with all digits; null where there is none."""
    columns = []
    for place, column in enumerate(table.columns):
        cells = [row.cells[place] for row in table.rows]
        told: dict[str, Any] = {"key": column.key, "title": column.title, "kind": column.kind}
        told |= {"group": column.group, "essential": column.essential, "domain": column.domain}
        for key in ("value", "low", "high"):
            each = [_finite(getattr(cell, key)) for cell in cells]
            if any(number is not None for number in each):
                told[key] = each
        opens = [cell.opens for cell in cells]
        if any(opens):  # one for all, or one for each row
            told["opens"] = opens[0] if len(set(opens)) == 1 else opens
        columns.append(told)
    return {
        "kind": table.kind,
        "first": table.first,
        "names": [row.name for row in table.rows],
        "columns": columns,
    }


def _finite(number: float) -> float | None:
    return float(number) if isfinite(number) else None


def number(value: Any) -> float:
    """A cell of a frame as a float; NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):  # words, None, pandas' missing value
        return nan


def why(rows: pd.DataFrame) -> str:
    """Why these rows hold no number: the first status and note found."""
    for _, row in rows.iterrows():
        words = list(filter(None, (text(row["status"]), text(row["note"]))))
        if words:
            return ": ".join(words)
    return UNMEASURED


def text(value: Any) -> str:
    """The text of a cell; missing is empty."""
    if isinstance(value, str):
        return value
    return "" if value is None or value is pd.NA or value != value else str(value)


def joined(words: Iterable[str]) -> str:
    """Words as in a sentence: `a`, `a and b`, `a, b and c`."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last
