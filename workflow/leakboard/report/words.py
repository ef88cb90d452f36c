"""What the page says in sentences: its stamp, its finding, what it cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pandas as pd

from leakboard.measures.shown import FORMATS
from leakboard.measures.standings import WORDS
from leakboard.measures.strongest import ACCESS
from leakboard.report.cells import joined, number, text


@dataclass(frozen=True)
class Stamp:
    """Whether a board may be believed: `kind` is valid, invalid, incomplete or unchecked."""

    kind: str
    title: str
    summary: str
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def stamp(verdict: Mapping[str, Any], controls: pd.DataFrame) -> Stamp:
    """The stamp of a track; a board that is invalid is so whether complete or not."""
    told = {key: tuple(map(str, verdict.get(key, ()))) for key in ("reasons", "missing")}
    warnings = tuple(map(str, verdict.get("warnings", ())))
    passed = int((controls["passed"].astype(str) == "True").sum()) if len(controls) else 0
    count = f"{passed} of {len(controls)} controls came out as they must"
    if not verdict:
        words = "No control was run, so nothing says whether these numbers mean anything."
        return Stamp("unchecked", "Unchecked", words)
    if not verdict["valid"]:
        words = (
            f"{count}. A control outside its expected interval means that something else on this "
            "board is wrong as well: read no number here as a finding."
        )
        return Stamp("invalid", "Invalid", words, **told, warnings=warnings)
    if not verdict["complete"]:
        words = f"{count}, but some cells hold no number, and who lacks one is not ranked."
        return Stamp("incomplete", "Incomplete", words, **told, warnings=warnings)
    return Stamp("valid", "Valid", f"{count}.", **told, warnings=warnings)


def finding(table: pd.DataFrame, valid: bool) -> str:
    """What happens without a defense, and who does best, in a sentence or two."""
    return " ".join(filter(None, [_undefended(table), _best(table) if valid else ""]))


def _undefended(table: pd.DataFrame) -> str:
    for row in table[table["defense"] == "none"].to_dict("records"):
        parts = []
        if isfinite(number(row["copy_rate"])):
            copies = FORMATS["rate"](number(row["copy_rate"]))
            parts.append(f"{copies} of the samples copy a training image")
        aucs = {sees: number(row[f"{sees}_auc"]) for sees in ACCESS}
        aucs = {sees: auc for sees, auc in aucs.items() if isfinite(auc)}
        if aucs:
            sees = max(aucs, key=lambda name: abs(aucs[name] - 0.5))
            parts.append(
                f"the strongest attack ({text(row[f'{sees}_attack'])}, on the {sees}) tells "
                f"members from strangers with an AUC of {FORMATS['auc'](aucs[sees])}"
            )
        if parts:
            return f"Without a defense, {' and '.join(parts)}."
    return ""


def _best(table: pd.DataFrame) -> str:
    if "rank_low" not in table:
        return ""
    ranked = table[table["rank_low"].notna()]
    if len(ranked) < 2:
        return ""
    first = ranked.loc[ranked["rank_low"].astype(float) == 1, "defense"].astype(str).tolist()
    if len(first) == len(ranked):
        return f"None of the {len(ranked)} ranked defenses can be told from the others."
    if len(first) == 1:
        only = f"only {first[0]} is never shown to leak more than another"
        return f"Of {len(ranked)} ranked defenses, {only}."
    shown = first if len(first) <= 6 else [*first[:5], f"{len(first) - 5} more"]
    return (
        f"Of {len(ranked)} ranked defenses, {joined(shown)} may each be the best: no other is "
        "shown to leak less than one of them."
    )


def smallest(verdict: Mapping[str, Any]) -> list[str]:
    """The smallest difference in each ranked column that one test would most likely find."""
    return [
        f"{WORDS[column].removeprefix('the ')} {_size(column, float(found['value']))}"
        for column, found in (verdict.get("smallest") or {}).items()
    ]


def _size(column: str, value: float) -> str:
    return f"{100 * value:.1f} points" if column == "copy_rate" else f"{value:.3f}"
