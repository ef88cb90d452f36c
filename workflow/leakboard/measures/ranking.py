"""The leaderboard: long measurements in, one row per defense out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Any

import numpy as np
import pandas as pd

from leakboard.measures.strongest import ACCESS, NUMBERS, TPR, extraction, membership

COSTS = ("training_seconds", "sampling_seconds", "sampling_ratio", "peak_memory_mb")
TEXTS = ["track", "defense", "sampler", "attack", "sees", "metric", "status", "note"]
ATTACKED = ("auc", "auc_low", "auc_high", "auc_seeds_sd", "attack", "note", "tpr")
DRAWN = ("", "_low", "_high", "_seeds_sd", "_attack")
REFERENCES = {  # role -> what its row is on the board for
    "undefended": "what every defense is compared with",
    "early-stop": "a baseline: less training",
    "copy-machine": "a control: it draws training images",
    "never-saw-members": "a control: it never saw a member",
    "noise": "a control: it draws noise",
}
COLUMNS = [
    *(
        "track",
        "defense",
        "role",
        "copy_rate",
        "copy_rate_low",
        "copy_rate_high",
        "copy_rate_seeds_sd",
        "memorized",
        "nl2",
    ),
    *(f"extracted_{score}{x}" for score in ("ams", "ums") for x in DRAWN),
    "extracted_ums_note",
    *(f"{sees}_{x}" for sees in ACCESS for x in ATTACKED),
    *("fid", "fid_low", "fid_high", "fid_seeds_sd", "kid", *COSTS),
    *("seeds", "samples", "audited", "status", "caveat", "paper"),
]


def leaderboard(
    measurements: pd.DataFrame,
    costs: pd.DataFrame,
    defenses: Mapping[str, Mapping[str, Any]],
    headline: Mapping[str, str],
    contenders: Sequence[Mapping[str, str]] = (),
) -> pd.DataFrame:
    """Return one row per (track, defense), with the columns `COLUMNS`.

    Every defense named in `defenses` or measured has a row in every track; `attacks` in its entry
    are the (attack, sees) pairs that must have an AUC. Copies are those of the `plain` sampler.
    `{sees}_auc` is the worst case: the attack whose AUC is farthest from 0.5, on either side, among
    those with that access, `{sees}_note` what is known about that AUC (which of several networks);
    `{sees}_tpr` is the highest resolved TPR at 1% FPR, of a score or of one turned around.
    `extracted_ams` and `extracted_ums` are the highest AMS and UMS above the copy threshold among
    the extraction attacks `contenders` (see `strongest.extraction`), `_note` the N of the UMS; they
    are empty, and not missing, where no such attack was tried.
    Several seeds: a value is the mean over seeds, its interval the mean of the lower and of the
    upper ends (no pooling), `_seeds_sd` the standard deviation over seeds.
    Rates and AUCs are in [0, 1]; `samples` and `audited` count images per seed.
    Rows: `none` first, then by the upper end of the copy rate, then by the AUC against the
    predictor, missing last; ranks are given by `standings`. A cell without a number is NaN, and
    `status` names it; a cell lacking in some seeds is named with them. What is no contestant need
    not be attacked.
    """
    frame = _tidy(measurements)
    metrics = _metrics(headline)
    rows: list[dict[str, Any]] = []
    for track in frame["track"].unique():
        here = frame[frame["track"] == track]
        names = dict.fromkeys([*defenses, *here["defense"]])
        board = []
        for name in names:
            mine, entry = here[here["defense"] == name], defenses.get(name, {})
            role = entry.get("role") or ("undefended" if name == "none" else "contestant")
            row = {"track": track, "defense": name, "role": role, "seeds": mine["seed"].nunique()}
            row |= _copies_and_quality(mine, metrics) | membership(mine) | _costs(costs, row)
            row |= extraction(mine, contenders)
            wanted = [("", "", metric) for metric in metrics.values()]
            wanted += [(attack, sees, "auc") for attack, sees in entry.get("attacks", ())]
            attacked = {sees for each in defenses.values() for _, sees in each.get("attacks", ())}
            row["status"] = _status(row, mine, wanted, set(here["seed"]), attacked)
            row |= {key: str(entry.get(key) or "") for key in ("caveat", "paper")}
            board.append(row)
        rows += sorted(board, key=_order)
    return pd.DataFrame(rows, columns=COLUMNS)


def _tidy(measurements: pd.DataFrame) -> pd.DataFrame:
    """The rows a leaderboard reads: of a defense, and no copy rate of an extraction attack's."""
    frame = measurements.reindex(columns=["seed", *TEXTS, *NUMBERS])
    frame[TEXTS] = frame[TEXTS].astype(object).where(frame[TEXTS].notna(), "")
    frame[NUMBERS] = frame[NUMBERS].apply(pd.to_numeric, errors="coerce")
    frame[NUMBERS] = frame[NUMBERS].replace([np.inf, -np.inf], np.nan)
    return frame[(frame["defense"] != "") & frame["sampler"].isin(["plain", ""])]


def _metrics(headline: Mapping[str, str]) -> dict[str, str]:
    """Column of the board -> metric in the measurements."""
    features = headline["quality"].partition(":")[2]
    return {
        "copy_rate": headline["copies"],
        "memorized": "memorization_ratio:pixels",
        "nl2": "nl2<1.4:pixels",
        "fid": headline["quality"],
        "kid": f"kid:{features}",
    }


def _copies_and_quality(rows: pd.DataFrame, metrics: Mapping[str, str]) -> dict[str, Any]:
    sampled = rows[(rows["attack"] == "") & (rows["sees"] == "")]
    found: dict[str, Any] = {}
    for column, metric in metrics.items():
        these = sampled[sampled["metric"] == metric]
        found |= {column: these["value"].mean(), f"{column}_seeds_sd": these["value"].std()}
        found |= {f"{column}_{end}": these[f"ci_{end}"].mean() for end in ("low", "high")}
    found["samples"] = sampled.loc[sampled["metric"] == metrics["copy_rate"], "n"].mean()
    return found


def _costs(costs: pd.DataFrame, row: Mapping[str, Any]) -> dict[str, float]:
    costs = costs.reindex(columns=[*costs.columns.union(["defense", *COSTS])])
    mine = costs["defense"] == row["defense"]
    if "track" in costs:
        mine &= costs["track"] == row["track"]
    means = costs.loc[mine, list(COSTS)].apply(pd.to_numeric, errors="coerce").mean()
    return {column: float(means[column]) for column in COSTS}


def _status(
    row: Mapping[str, Any],
    rows: pd.DataFrame,
    wanted: list[tuple[str, str, str]],
    seeds: set[Any],
    attacked: set[str],
) -> str:
    """`complete`, or `missing:` and the cells without a number, in all seeds or in some.

    attacked: the accesses that somebody on the board is attacked with.
    """
    found = rows.dropna(subset="value").groupby(["attack", "sees", "metric"])["seed"].agg(set)
    missing = []
    for attack, sees, metric in wanted:
        cell = " ".join(filter(None, (metric, attack and f"of {attack}", sees and f"({sees})")))
        lacking = seeds - found.get((attack, sees, metric), set())
        if lacking == seeds:
            missing.append(cell)
        elif lacking:
            missing.append(f"{cell} in seed {', '.join(sorted(map(str, lacking)))}")
    for sees in ACCESS:
        tried = any(access == sees for _, access, _ in wanted)
        if not tried and (row["role"] not in ("contestant", "undefended") or sees not in attacked):
            continue
        if not tried:
            missing.append(f"auc ({sees})")
        tprs = rows[(rows["sees"] == sees) & (rows["metric"] == TPR)]
        if not (isfinite(row[f"{sees}_tpr"]) or tprs["status"].eq("unresolved").any()):
            missing.append(f"{TPR} ({sees})")
    missing += [column for column in COSTS if not isfinite(row[column])]
    return f"missing: {', '.join(missing)}" if missing else "complete"


def _order(row: Mapping[str, Any]) -> tuple[bool, float, float, str]:
    high, auc = (v if isfinite(v) else inf for v in (row["copy_rate_high"], row["predictor_auc"]))
    return row["defense"] != "none", high, auc, row["defense"]
