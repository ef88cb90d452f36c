"""The strongest attack on a defense: of each access among membership attacks, of any to extract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any

import pandas as pd

from leakboard.measures.grid import chosen

ACCESS = ("weights", "predictor", "images")
NUMBERS = ["value", "ci_low", "ci_high", "n"]
TPR = "tpr@1%fpr"
TURNED = f"{TPR}:turned"  # of a score that members have less of


def membership(rows: pd.DataFrame) -> dict[str, Any]:
    """The strongest attack of each access, and how many images it was tried on.

    Strongest is farthest from 0.5 on either side: an attacker may turn a score around.
    """
    found: dict[str, Any] = {"audited": rows.loc[rows["metric"] == "auc", "n"].mean()}
    for sees in ACCESS:
        seen = rows[rows["sees"] == sees]
        by_attack = seen[seen["metric"] == "auc"].groupby("attack")
        aucs = by_attack[NUMBERS].mean().assign(value_sd=by_attack["value"].std())
        aucs = aucs.dropna(subset="value")
        strongest = str((aucs["value"] - 0.5).abs().idxmax()) if len(aucs) else ""
        worst = aucs.loc[strongest] if len(aucs) else pd.Series(nan, index=[*NUMBERS, "value_sd"])
        tprs = seen[seen["metric"].isin([TPR, TURNED]) & (seen["status"] != "unresolved")]
        found |= {
            f"{sees}_auc": worst["value"],
            f"{sees}_auc_low": worst["ci_low"],
            f"{sees}_auc_high": worst["ci_high"],
            f"{sees}_auc_seeds_sd": worst["value_sd"],
            f"{sees}_attack": strongest,
            f"{sees}_note": _notes(seen[(seen["attack"] == strongest) & (seen["metric"] == "auc")]),
            f"{sees}_tpr": tprs.groupby(["attack", "metric"])["value"].mean().max(),
        }
    return found


def _notes(rows: pd.DataFrame) -> str:
    """What the notes of all seeds say, each once."""
    return " / ".join(dict.fromkeys(str(note) for note in rows["note"] if note))


def extraction(rows: pd.DataFrame, contenders: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The highest AMS and UMS above the copy threshold, and the attacks that reached them.

    rows: all of one defense; contenders: see `drawings.contenders`. A grid of strengths counts by
    the best of them, chosen on one half of its pictures and told of the other; the highest of
    several attacks is still a little too high, as that of several AUCs is. Where steering gains
    nothing, plain drawing is named, which comes first.
    UMS falls as the number of pictures N grows, so it is compared at the smallest N there is. That
    is N of a grid's half, where plain pictures are counted too (`plain`) and stand for all attacks
    that draw plainly. An attack that was only measured at a larger N still counts, for what it
    found is a lower bound: without it a defense would look better than it is. The note states N.
    """
    names = [each["attack"] for each in contenders]
    plain = [each for each in contenders if each["plain"] == each["metric"]]
    ams, ums, half = [], [], []
    for each in contenders:
        name = each["attack"]
        if names.count(name) > 1:
            name += f" on the {each['sees']}"
        ams.append((name, _of(rows, each, f"ams:{each['metric']}")))
        if each not in plain:
            ums.append((name, _of(rows, each, f"ums:{each['metric']}")))
            if each["plain"]:
                name = plain[0]["attack"] if plain else "plain pictures"
                half.append((name, _of(rows, each, f"ums:{each['plain']}")))
    if not any(len(found) for _, found in half):
        half = [(each["attack"], _of(rows, each, f"ums:{each['metric']}")) for each in plain]
    highest = {"extracted_ams": _highest(ams), "extracted_ums": _highest([*half, *ums])}
    every = {f"{key}{end}": x for key, found in highest.items() for end, x in found.items()}
    every.pop("extracted_ams_note")  # AMS is the same at any N
    return every


def _of(rows: pd.DataFrame, contender: Mapping[str, str], metric: str) -> pd.DataFrame:
    """The rows of one metric of one attack, with numbers: one of each seed."""
    mine = (rows["attack"] == contender["attack"]) & (rows["sees"] == contender["sees"])
    return rows[mine & (rows["metric"] == metric)].dropna(subset="value")


def _highest(candidates: Iterable[tuple[str, pd.DataFrame]]) -> dict[str, Any]:
    """The candidate with the highest mean over seeds: its numbers, its name and strength, its N."""
    found = {"": nan, "_low": nan, "_high": nan, "_seeds_sd": nan, "_attack": "", "_note": ""}
    for name, rows in candidates:
        mean = rows[NUMBERS].mean()
        if len(rows) and not mean["value"] <= found[""]:
            strengths = dict.fromkeys(filter(None, map(chosen, rows["note"])))
            found = {
                "": mean["value"],
                "_low": mean["ci_low"],
                "_high": mean["ci_high"],
                "_seeds_sd": rows["value"].std(),
                "_attack": ", ".join([name, *([" / ".join(strengths)] if strengths else [])]),
                "_note": f"N = {mean['n']:.0f}",
            }
    return found
