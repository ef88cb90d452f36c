"""The page's table of what extraction attacks leave: defenses x attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import pandas as pd

from leakboard.measures.grid import chosen
from leakboard.measures.shown import FORMATS, interval
from leakboard.measures.strongest import NUMBERS
from leakboard.report.cells import Cell, Column, Row, Table, why

UNTRIED = "this attack was not tried on it"
CAPTION = (
    "Where an attack has several strengths lambda, the best one is chosen on half of the pictures "
    "and reported on the other half; “plain” is what as many pictures drawn plainly, from the same "
    "noise, give, and p the chance to beat them this clearly if steering did nothing. An attack "
    "that keeps some of its pictures is judged by what it keeps."
)


@dataclass(frozen=True)
class Head:
    """A column of the table: its attack, and the metrics that it shows."""

    attack: str
    sees: str
    title: str
    hint: str
    what: str
    metric: str
    versus: str = ""  # the metric of p against plain pictures, if it has one
    plain: str = ""  # the metric of as many plain pictures, if it has one
    counted: str = "N"  # what the number is a share of


def table(
    measurements: pd.DataFrame,
    defenses: Iterable[str],
    contenders: Sequence[Mapping[str, str]],
    track: str,
) -> Table | None:
    """Two columns for each attack, one row for each defense; None without extraction attacks.

    contenders: see `drawings.contenders`. Several seeds: values and ends of intervals are means,
    and p is the largest.
    """
    if not contenders:
        return None
    heads = [head for each in contenders for head in _heads(each)]
    wanted = {metric for head in heads for metric in (head.metric, head.versus, head.plain)}
    rows = measurements[measurements["metric"].isin(wanted)]
    rows = rows.assign(**{key: pd.to_numeric(rows[key], errors="coerce") for key in NUMBERS})
    cells = dict(iter(rows.groupby(["defense", "attack", "sees", "metric"])))
    ends: dict[str, float] = {}  # one scale for all AMS and one for all UMS, so that bars compare
    for head in heads:
        mine = (rows["attack"] == head.attack) & (rows["sees"] == head.sees)
        top = rows.loc[mine & (rows["metric"] == head.metric), "ci_high"].max()
        ends[head.title] = max(ends.get(head.title, 0.0), top if isfinite(top) else 0.0)
    columns = [_column(head, ends[head.title]) for head in heads]
    none = rows.iloc[:0]

    def of(defense: str, head: Head, metric: str) -> pd.DataFrame:
        return cells.get((defense, head.attack, head.sees, metric), none)

    lines = [Row(name, [_cell(name, head, of) for head in heads]) for name in defenses]
    label = f"What extraction attacks leave, {track}"
    return Table("extraction", label, CAPTION, "Defense", columns, lines)


def _column(head: Head, end: float) -> Column:
    key = f"{head.attack}|{head.sees}|{head.metric}"
    group = f"{head.attack}: {head.what}; sees {head.sees}"
    return Column(key, head.title, "rate", head.hint, group, domain=(0.0, end))


def _what(contender: Mapping[str, str]) -> str:
    if contender["keeps"]:
        return "what it keeps"
    if contender["plain"] == contender["metric"]:
        return "plain drawing"
    return "best strength" if contender["plain"] else "steered"


def _heads(contender: Mapping[str, str]) -> list[Head]:
    who, what = (contender["attack"], contender["sees"]), _what(contender)
    if space := contender["keeps"]:  # all it draws is what `random` draws
        precision = "share of the pictures it keeps that are copies; lower"
        members = "different members among the copies it keeps, per picture drawn; lower"
        return [
            Head(*who, "Copies among kept", precision, what, f"precision:{space}", counted="kept"),
            Head(*who, "UMS of kept", members, what, f"extracted:{space}"),
        ]
    metric, plain = contender["metric"], contender["plain"]
    steered = plain != metric
    hints = (
        "share of drawn pictures that copy; lower",
        "different members copied, per drawn picture: compare equal N only; lower",
    )
    return [
        Head(
            *(*who, name.upper(), hint, what, f"{name}:{metric}"),
            versus=f"{name}_vs_random_p:{metric}" if steered else "",
            plain=f"{name}:{plain}" if steered and plain else "",
        )
        for name, hint in zip(("ams", "ums"), hints, strict=True)
    ]


def _cell(defense: str, head: Head, of: Callable[[str, Head, str], pd.DataFrame]) -> Cell:
    """One number of a defense, its interval, strength and N, and what plain drawing gives.

    of: the rows of a defense, an attack and a metric.
    """
    found = of(defense, head, head.metric)
    value, low, high, n = found[NUMBERS].mean()
    if not isfinite(value):
        return Cell(reason=why(found) if len(found) else UNTRIED, opens="*|extraction")
    strengths = dict.fromkeys(filter(None, map(chosen, found["note"].fillna(""))))
    counted = f"N = {n:.0f}" if head.counted == "N" else f"of {n:.0f} {head.counted}"
    plain = of(defense, head, head.plain)["value"].mean()
    p = of(defense, head, head.versus)["value"].max()
    said = FORMATS["p"](p)
    compared = (
        f"plain {FORMATS['rate'](plain)}" if isfinite(plain) else "",
        f"p {said}" if said.startswith("<") else f"p = {said}" if isfinite(p) else "",
    )
    under = (
        interval("rate", low, high),
        ", ".join([*strengths, counted]),
        ", ".join(filter(None, compared)),
    )
    shown = FORMATS["rate"](value)
    lines = tuple(filter(None, under))
    return Cell(shown, lines, value, low, high, opens="*|extraction")
