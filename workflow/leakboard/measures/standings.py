"""Standings: who is ranked, and which rows of a leaderboard the tests can put in order."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd

from leakboard.measures.multiplicity import detectable, holm, rank_intervals, tie_groups
from leakboard.measures.ranking import REFERENCES

RANKED = ("copy_rate", "weights_auc", "predictor_auc", "images_auc")
WORDS = {
    "copy_rate": "the copy rate",
    "weights_auc": "the AUC of who sees the weights",
    "predictor_auc": "the AUC of who sees the predictor",
    "images_auc": "the AUC of who sees the images",
}
ALPHA = 0.05
POWER = 0.8
EARLY = (
    "early_stop",
    *(f"early_stop_{x}" for x in ("difference", "difference_low", "difference_high", "p")),
)
COLUMNS = [
    *("unranked", "rank_low", "rank_high", "group", "fid_ratio", *EARLY),
    *(f"{column}_{x}" for column in RANKED for x in ("rank_low", "rank_high", "group", "p")),
]
COMPARED = [
    *("track", "column", "a", "b", "attack_a", "attack_b", "value_a", "value_b"),
    *("difference", "ci_low", "ci_high", "p", "p_holm", "n", "family", "verdict"),
]


def standings(
    table: pd.DataFrame, pairs: pd.DataFrame, gate: float
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, dict[str, Any]]]:
    """The leaderboard (see `ranking`) with COLUMNS, all comparisons, the smallest differences.

    pairs: column, a, b, attack_a, attack_b, value_a, value_b, difference (a minus b, of leaks),
    ci_low, ci_high, p, se, n: every pair of rows, on the same images and the same noise.

    Ranked are contestants with every number that `none` has, and a FID of at most `gate` times
    that of `none`; `unranked` says why another row is not. Three families of tests, in each column
    Holm-adjusted by themselves: every contestant against `none`; ranked ones against each other;
    every contestant against stopping early at a FID at least as good. a is better than b where its
    leak is lower at ALPHA; overall where that is so in some column, and the reverse in none. Ranks
    run from 1 + those that are better to all but those that are worse; who shares a letter of
    `group` is not told apart.
    """
    table, used = table.copy(), _used(table)
    fids = table.set_index("defense")["fid"]
    table["fid_ratio"] = table["fid"] / fids.get("none", np.nan)
    table["unranked"] = [_unranked(row, used, gate) for _, row in table.iterrows()]
    matched = {
        row["defense"]: _early(row, table)
        for _, row in table.iterrows()
        if row["role"] == "contestant"
    }
    compared = _families(pairs, table, matched)
    ranked = table.loc[table["unranked"] == "", "defense"].tolist()
    worse = {column: _worse(compared, column, ranked) for column in RANKED}
    lost = np.any([worse[c] for c in RANKED], axis=0) if ranked else np.zeros((0, 0), bool)
    _stand(table, ranked, lost & ~lost.T, "")
    for column in RANKED:
        _stand(table, ranked if column in used else [], worse[column], f"{column}_")
        _versus_none(table, compared, column)
    _versus_early(table, compared, matched)
    smallest = {column: _smallest(pairs, column, ranked) for column in used}
    order = {name: place for place, name in enumerate(_order(table))}
    table = table.iloc[np.argsort(table["defense"].map(order).to_numpy(), kind="stable")]
    compared["track"] = table["track"].iloc[0] if len(table) else ""
    return (
        table.reset_index(drop=True),
        compared.reindex(columns=COMPARED),
        {column: found for column, found in smallest.items() if found},
    )


def _used(table: pd.DataFrame) -> list[str]:
    """The ranked columns that this board has: those with a number for `none`."""
    undefended = table[table["defense"] == "none"]
    return [column for column in RANKED if undefended[column].notna().any()]


def _unranked(row: pd.Series, used: Sequence[str], gate: float) -> str:
    """Why a row has no rank, in words; empty where it has one."""
    if row["role"] != "contestant":
        return REFERENCES[row["role"]]
    missing = [WORDS[column] for column in used if not isfinite(row[column])]
    missing += [] if isfinite(row["fid"]) else ["the FID"]
    if missing:
        return f"incomplete: it lacks {', '.join(missing)}"
    if row["fid_ratio"] > gate:
        return (
            f"ruined: its FID is {row['fid_ratio']:.3g} times that of none, and at most {gate:g} "
            "times is allowed"
        )
    return ""


def _early(row: pd.Series, table: pd.DataFrame) -> str:
    """The early stop to beat: of those whose FID is at least as good, the one that copies least.

    Where none is as good, the one with the best FID.
    """
    stops = table[(table["role"] == "early-stop") & table["fid"].notna()]
    stops = stops[stops["copy_rate"].notna()]
    if not len(stops) or not isfinite(row["fid"]):
        return ""
    fair = stops[stops["fid"] <= row["fid"]]
    best = fair.nsmallest(1, "copy_rate") if len(fair) else stops.nsmallest(1, "fid")
    return str(best["defense"].iloc[0])


def _families(pairs: pd.DataFrame, table: pd.DataFrame, matched: dict[str, str]) -> pd.DataFrame:
    """All comparisons with their family, the Holm-adjusted p in it, and the verdict on a."""
    roles = table.set_index("defense")["role"]
    ranked = set(table.loc[table["unranked"] == "", "defense"])
    found = pairs.copy()

    def family(a: str, b: str) -> str:
        contestants = [name for name in (a, b) if roles.get(name) == "contestant"]
        if "none" in (a, b):
            return "none" if contestants else ""
        if {a, b} <= ranked:
            return "ranked"
        other = b if contestants[:1] == [a] else a
        early = len(contestants) == 1 and matched.get(contestants[0]) == other
        return "early-stop" if early else ""

    found["family"] = [family(a, b) for a, b in zip(found["a"], found["b"], strict=True)]
    found["p_holm"] = np.nan
    for (_, name), rows in found.groupby(["column", "family"], sort=False):
        if name:
            found.loc[rows.index, "p_holm"] = holm(rows["p"].to_numpy(float))
    tested = found["p_holm"].notna()
    lower = np.where(found["difference"] < 0, "lower", "higher")
    found["verdict"] = np.where(found["p_holm"] < ALPHA, lower, np.where(tested, "tied", ""))
    return found


def _worse(compared: pd.DataFrame, column: str, ranked: Sequence[str]) -> np.ndarray:
    """Whether row i leaks more than row j, among the ranked: (k, k) bool."""
    place = {name: i for i, name in enumerate(ranked)}
    worse = np.zeros((len(ranked), len(ranked)), bool)
    rows = compared[(compared["column"] == column) & (compared["family"] == "ranked")]
    for a, b, verdict in zip(rows["a"], rows["b"], rows["verdict"], strict=True):
        worse[place[a], place[b]] = verdict == "higher"
        worse[place[b], place[a]] = verdict == "lower"
    return worse


def _stand(table: pd.DataFrame, ranked: Sequence[str], worse: np.ndarray, stem: str) -> None:
    """Write ranks and groups of the ranked into the columns of this stem."""
    keys = [f"{stem}{x}" for x in ("rank_low", "rank_high", "group")]
    found: dict[str, tuple[int, int, str]] = {}
    if ranked:
        low, high = rank_intervals(worse)
        best = np.lexsort((np.arange(len(ranked)), high, low))  # the letter a goes to the first
        groups = tie_groups(worse[np.ix_(best, best)])
        for place, letters in zip(best, groups, strict=True):
            found[ranked[place]] = int(low[place]), int(high[place]), letters
    for key, at in zip(keys, range(3), strict=True):
        absent = "" if at == 2 else pd.NA
        values = [found[n][at] if n in found else absent for n in table["defense"]]
        table[key] = pd.Series(values, index=table.index, dtype="Int64" if at < 2 else "object")


def _versus_none(table: pd.DataFrame, compared: pd.DataFrame, column: str) -> None:
    rows = compared[(compared["column"] == column) & (compared["family"] == "none")]
    others = np.where(rows["a"] == "none", rows["b"], rows["a"])
    p = dict(zip(others, rows["p_holm"], strict=True))
    table[f"{column}_p"] = [p.get(name, np.nan) for name in table["defense"]]


def _versus_early(table: pd.DataFrame, compared: pd.DataFrame, matched: dict[str, str]) -> None:
    """What a contestant gains over its baseline, seen from the contestant."""
    rows = compared[(compared["family"] == "early-stop") & (compared["column"] == "copy_rate")]
    found: dict[str, tuple[float, ...]] = {}
    for _, row in rows.iterrows():
        turned = matched.get(row["a"]) != row["b"]
        name, ends = row["b" if turned else "a"], (row["ci_low"], row["ci_high"])
        low, high = (-ends[1], -ends[0]) if turned else ends
        found[name] = (
            -row["difference"] if turned else row["difference"],
            low,
            high,
            row["p_holm"],
        )
    table["early_stop"] = [matched.get(n, "") if n in found else "" for n in table["defense"]]
    for at, key in enumerate(EARLY[1:]):
        table[key] = [found[n][at] if n in found else np.nan for n in table["defense"]]


def _smallest(pairs: pd.DataFrame, column: str, ranked: Sequence[str]) -> dict[str, Any]:
    """The smallest difference that a test of two ranked rows finds as a rule; {} without any."""
    rows = pairs[(pairs["column"] == column) & pairs["a"].isin(ranked) & pairs["b"].isin(ranked)]
    errors = rows["se"].to_numpy(float)
    errors = errors[np.isfinite(errors) & (errors > 0)]
    if not errors.size:
        return {}
    value = detectable(float(np.median(errors)), ALPHA, POWER)
    shown = f"{100 * value:.2g} points" if column == "copy_rate" else f"{value:.2g}"
    words = (
        f"Differences in {WORDS[column]} below {shown} are more likely missed than found: that is "
        f"what one test of two defenses on n = {rows['n'].median():.0f} images finds in "
        f"{100 * POWER:.0f} of 100 cases, before it is corrected for their number."
    )
    return {"value": value, "words": words}


def _order(table: pd.DataFrame) -> list[str]:
    """`none`, the ranked from best to worst, the unranked, baselines, controls."""
    roles = ["undefended", "contestant", *list(REFERENCES)[1:]]

    def place(row: pd.Series) -> tuple[Any, ...]:
        ranks = (row["rank_low"], row["rank_high"]) if row["unranked"] == "" else (0, 0)
        copies = row["copy_rate_high"] if isfinite(row["copy_rate_high"]) else np.inf
        out = row["unranked"] != ""
        return roles.index(row["role"]), out, *map(int, ranks), copies, row["defense"]

    return [str(row["defense"]) for _, row in sorted(table.iterrows(), key=lambda r: place(r[1]))]
