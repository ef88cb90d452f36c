"""What stands in the cells of the page's tables: text, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

UNMEASURED = "not measured"


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: without text it is missing, and `reason` says why."""

    text: str = ""
    under: tuple[str, ...] = ()
    sort: str = ""  # what the page sorts by, when not the text
    reason: str = UNMEASURED
    span: tuple[float, float, float] | None = None  # low, value, high as percent of the column
    heat: float = 0.0  # 0: chance, 1: certainty


def span(
    low: float, value: float, high: float, start: float, end: float
) -> tuple[float, float, float]:
    """Both ends of an interval and the value in it, in percent of the way from start to end."""
    width = (end - start) or 1.0
    at = [round(100 * min(max((x - start) / width, 0), 1), 1) for x in (low, value, high)]
    return at[0], at[1], at[2]


def why(rows: pd.DataFrame) -> str:
    """Why these rows hold no number: the first status and note found."""
    for _, row in rows.iterrows():
        words = list(filter(None, (text(row["status"]), text(row["note"]))))
        if words:
            return ": ".join(words)
    return UNMEASURED


def text(value: Any) -> str:
    """The text of a cell; missing is empty."""
    return "" if value is None or pd.isna(value) else str(value)
