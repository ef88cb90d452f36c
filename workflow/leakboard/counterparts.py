"""What papers report beside what a track measures of the same defense, attack and metric.

Both numbers are shown, and that is all: data, networks and procedures differ, so no difference is
taken, no test made and no verdict given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from leakboard.reported import Model, Number, Reported, family, split

EXPLAINED = (
    "Reported numbers are those of the papers, on other data, with other networks, budgets and "
    "procedures. That they differ from what is measured here refutes nothing, that they agree "
    "confirms nothing, and nothing is ranked by them."
)
COLUMNS = [
    *("track", "paper", "identifier", "source", "model", "dataset"),
    *("defense", "attack", "sees", "setting", "metric", "about", "unit", "better"),
    *("bound", "reported"),
    *("measured_metric", "measured", "ci_low", "ci_high", "n", "seeds", "missing"),
    *("protocol", "differs", "doubts", "note"),
]
NUMBERS = ["value", "ci_low", "ci_high", "n"]
TEXTS = ["defense", "sampler", "attack", "sees", "metric", "unit", "status", "note"]


def beside(
    reported: Reported,
    track: str,
    defenses: Iterable[str],
    attacks: Iterable[str],
    measurements: pd.DataFrame,
    *,
    model: Model = "unconditional",
    judges: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """For each result of a paper a row with the keys COLUMNS; the settings of papers are left out.

    defenses, attacks: the names on this track; measurements: its rows, with measurements.COLUMNS;
    model: what its networks are told; judges: the feature spaces to take a number of, in order of
    preference, where that of the paper is not measured.
    `measured` is a number of the same defense, attack, access and metric, named `measured_metric`:
    the very metric if there is one; else of a copy rate the one above the calibrated threshold,
    and of another metric the same in another space; over lambdas the mean. It is the mean over
    seeds, as are the ends of its interval and n (of p-values the largest). Where there is none it
    is None, and `missing` says why.
    """
    here = measurements[measurements["track"] == track].reindex(columns=["seed", *TEXTS, *NUMBERS])
    here[TEXTS] = here[TEXTS].astype(object).where(here[TEXTS].notna(), "")
    here[NUMBERS] = here[NUMBERS].apply(pd.to_numeric, errors="coerce")
    here = here[
        here["sampler"].isin(["", "plain"])
    ]  # copies under attack have metrics of their own
    cells = dict(iter(here.groupby(["defense", "attack", "sees"])))
    names = {"defense": frozenset(defenses), "attack": frozenset(attacks)}
    return [
        _row(reported, number, track, _counterpart(number, cells, names, model, judges))
        for number in reported.numbers()
        if number.unit != "setting"
    ]


def frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows of `beside` as a table; what is None is empty."""
    return pd.DataFrame(list(rows), columns=COLUMNS)


def _row(reported: Reported, number: Number, track: str, found: dict[str, Any]) -> dict[str, Any]:
    table = number.table
    paper = reported.papers[table.paper]
    row = {
        **vars(number),
        **found,
        "track": track,
        "paper": paper.cited,
        "identifier": paper.identifier,
        "about": reported.metrics[family(number.metric)].about,
        "source": table.source,
        "reported": number.value,
        "protocol": table.protocol,
        "differs": table.differs,
        "doubts": " ".join(table.doubts.values()),
    }
    return {key: row[key] for key in COLUMNS}


def _counterpart(
    number: Number,
    cells: Mapping[Any, pd.DataFrame],
    names: Mapping[str, Collection[str]],
    model: Model,
    judges: Sequence[str],
) -> dict[str, Any]:
    """What is measured of the same, under the keys from `measured_metric` to `missing`."""
    keys = ("measured_metric", "measured", "ci_low", "ci_high", "n", "seeds", "missing")
    none: dict[str, Any] = {**dict.fromkeys(keys), "measured_metric": ""}
    if number.model != model:
        return {**none, "missing": f"reported of {number.model} networks, this track's are {model}"}
    for key, there in names.items():
        if (name := getattr(number, key)) and name not in there:
            return {**none, "missing": f"the {key} '{name}' is not on this track"}
    same = cells.get((number.defense, number.attack, number.sees))
    if same is None:
        return {**none, "missing": "not measured here"}
    metric = _metric(number.metric, dict.fromkeys(same["metric"]), judges)
    if not metric:
        return {**none, "missing": "not measured here"}
    mine = same[same["metric"] == metric]
    told = mine.dropna(subset="value")
    if told.empty:
        why = " / ".join(dict.fromkeys(filter(None, mine["note"])))
        return {**none, "measured_metric": metric, "missing": why or "measured without a number"}
    worst = number.unit == "p"  # a mean of p-values is no p-value
    value = told["value"].max() if worst else told["value"].mean()
    ends = told[["ci_low", "ci_high"]].mean()
    low, high = (None if worst or pd.isna(end) else float(end) for end in ends)
    return {
        "measured_metric": metric,
        "measured": float(value),
        "ci_low": low,
        "ci_high": high,
        "n": None if pd.isna(told["n"].mean()) else round(told["n"].mean()),
        "seeds": int(told["seed"].nunique()),
        "missing": "",
    }


def _metric(wanted: str, measured: Iterable[str], judges: Sequence[str]) -> str:
    """The measured metric to put beside a reported one, or ""."""
    measured = list(measured)
    if wanted in measured:
        return wanted
    kind, space, _ = split(wanted)
    if not space:  # of scores, not of pictures: nothing else is the same
        return ""

    def merit(metric: str) -> tuple[int, int, str]:
        _, its, rest = split(metric)
        order = [space, *judges]
        return order.index(its) if its in order else len(order), len(rest), metric

    alike = [m for m in measured if split(m)[0] == kind and split(m)[2] in ("", "mean")]
    alike = [m for m in alike if not m.startswith("copy_rate>")]  # another space's threshold
    return min(alike, key=merit, default="")
