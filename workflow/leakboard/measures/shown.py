"""How numbers of the leaderboard are shown: its columns, formats, and the table in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import pandas as pd

from leakboard.measures.strongest import ACCESS


@dataclass(frozen=True)
class Column:
    """How a column of the leaderboard is shown."""

    key: str
    group: str
    title: str
    kind: str
    hint: str


AMS = "share of drawn pictures that copy, under the strongest extraction attack; lower"
UMS = "different members copied per drawn picture; falls as N grows: compare equal N; lower"
EARLY = "copy rate minus that of stopping the training early, at a FID as good; below 0 is better"
SHOWN = (
    Column("copy_rate", "Copies", "Copy rate", "rate", "share of samples that copy; lower"),
    Column("copy_rate_p", "Copies", "p vs none", "p", "McNemar's exact test, Holm-adjusted"),
    Column("early_stop_difference", "Copies", "vs early stop", "points", EARLY),
    Column("memorized", "Copies", "d1/d2 < 1/3", "rate", "share of samples, pixels; lower"),
    Column("nl2", "Copies", "nL2 < 1.4", "rate", "share of samples, pixels; lower"),
    Column("extracted_ams", "Extraction", "AMS, best attack", "rate", AMS),
    Column("extracted_ums", "Extraction", "UMS, best attack", "rate", UMS),
    Column("weights_auc", "Attacker sees weights", "AUC", "auc", "strongest attack; 0.5 is best"),
    Column("weights_tpr", "Attacker sees weights", "TPR @ 1% FPR", "rate", "highest; lower"),
    Column("predictor_auc", "Attacker sees predictor", "AUC", "auc", "strongest; 0.5 is best"),
    Column("predictor_tpr", "Attacker sees predictor", "TPR @ 1% FPR", "rate", "highest; lower"),
    Column("images_auc", "Attacker sees images", "AUC", "auc", "strongest; 0.5 is best"),
    Column("images_tpr", "Attacker sees images", "TPR @ 1% FPR", "rate", "highest; lower"),
    Column("fid", "Quality", "FID", "score", "distance to real images; lower"),
    Column("fid_ratio", "Quality", "FID ratio", "ratio", "FID over that of none; lower"),
    Column("kid", "Quality", "KID", "score", "distance to real images; lower"),
    Column("training_seconds", "Cost", "Training", "seconds", "time to train; lower"),
    Column("sampling_seconds", "Cost", "Sampling", "seconds", "time to sample; lower"),
    Column("sampling_ratio", "Cost", "Relative", "ratio", "sampling time over none's; lower"),
    Column("peak_memory_mb", "Cost", "Memory", "memory", "peak memory; lower"),
)


def _rate(value: float) -> str:
    return f"{100 * value:.1f}%" if value >= 0.01 else f"{100 * value:.2g}%"


def _auc(value: float) -> str:
    """Three decimals; only what is exactly 1 is written as 1."""
    return ">0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def _seconds(value: float) -> str:
    unit, size = ("s", 1) if value < 120 else ("min", 60) if value < 7200 else ("h", 3600)
    return f"{value / size:.{0 if value / size >= 100 else 1}f} {unit}"


FORMATS: dict[str, Callable[[float], str]] = {
    "rate": _rate,
    "p": lambda value: "<0.001" if value < 0.001 else f"{value:.3f}",
    "auc": _auc,
    "points": lambda value: f"{100 * value:+.1f}%",
    "score": lambda value: f"{value:#.3g}" if abs(value) < 99.95 else f"{value:.0f}",
    "seconds": _seconds,
    "ratio": lambda value: f"{value:.2f}×",
    "memory": lambda value: f"{value:.0f} MB" if value < 1000 else f"{value / 1000:.1f} GB",
    "number": lambda value: f"{value:.4g}",
}


def interval(kind: str, low: float, high: float) -> str:
    """Return `low–high`, AUCs with as many decimals as tell the ends apart, or ""."""
    if not (isfinite(low) and isfinite(high)):
        return ""
    form = FORMATS[kind]
    if kind == "auc":
        digits = 2 if f"{low:.2f}" != f"{high:.2f}" else 4
        return f"{low:.{digits}f}–{high:.{digits}f}"
    return f"{form(low).removesuffix('%')}–{form(high)}"


def to_markdown(table: pd.DataFrame, verdict: Mapping[str, Any]) -> str:
    """Return the leaderboard as a GitHub table, its stamp and an explanation above it.

    verdict: valid, complete, reasons, missing, warnings, smallest (see `verdict.json`).
    """
    several = table["track"].nunique() > 1
    heads = ["Track"] * several + ["Defense", "Rank"]
    for column in SHOWN:
        sees = column.group.removeprefix("Attacker sees ")
        heads.append(f"{column.title}, {sees}" if sees in ACCESS else column.title)
    lines = [*_stamp(verdict), *_explanation(table), "", _line([*heads, "Seeds", "Status"])]
    lines.append(_line(["---"] * (several + 2) + ["---:"] * (len(SHOWN) + 1) + ["---"]))
    for _, row in table.iterrows():
        start = [row["track"]] * several + [f"**{row['defense']}**", rank(row)]
        cells = [_cell(row, column) for column in SHOWN]
        lines.append(_line([*start, *cells, row["seeds"], row["status"]]))
    smallest = [found["words"] for found in verdict["smallest"].values()]
    return "\n".join([*lines, "", *smallest]) + "\n"


def rank(row: pd.Series) -> str:
    """The ranks that the tests leave open and the tie groups, `2–4 b`; or why there is none."""
    if row["unranked"]:
        return str(row["unranked"])
    low, high = int(row["rank_low"]), int(row["rank_high"])
    return f"{low if low == high else f'{low}–{high}'} {row['group']}".strip()


def stamp(verdict: Mapping[str, Any]) -> str:
    """VALID, INVALID or INCOMPLETE; a board that is both of the latter is INVALID."""
    if not verdict["valid"]:
        return "INVALID"
    return "VALID" if verdict["complete"] else "INCOMPLETE"


def _stamp(verdict: Mapping[str, Any]) -> list[str]:
    words = {
        "VALID": "every control came out as expected.",
        "INCOMPLETE": "some cells have no number.",
        "INVALID": "a control did not come out as expected, so no number here can be relied on.",
    }
    found = stamp(verdict)
    said = [*verdict["reasons"], *verdict["missing"], *verdict["warnings"]]
    return [f"**{found}**: {words[found]}", *(f"- {each}" for each in said), ""]


def _explanation(table: pd.DataFrame) -> tuple[str, str]:
    samples, audited = (
        " or ".join(f"{n:.0f}" for n in sorted(table[key].dropna().unique())) or "unknown"
        for key in ("samples", "audited")
    )
    return (
        "Lower is better in every column but p, AUC at best 0.5 (a coin toss; 1 is certainty): "
        "copies, d1/d2 and nL2 are shares of samples that copy a training image "
        f"(n = {samples} samples per seed), p compares copies with `none` (small: hardly "
        "luck), vs early stop is what is gained over less training, AMS is the share of an "
        "extraction attack's pictures that copy, UMS how many different images they copy per "
        "picture (compare equal N only), AUC is that of the "
        "strongest attack with the named access and TPR the "
        f"highest at 1% FPR (n = {audited} audited images), FID and KID are distances to real "
        "images, the rest is cost.  ",
        "Intervals, over images and not over trainings, stand in parentheses, — means no number. "
        "Ranks are all that Holm-corrected tests on the same images and noise leave open: whoever "
        "leaks less in some column and more in none comes first, and who shares a letter is not "
        "told apart. Controls, baselines and `none`, the model without a defense, have no rank.",
    )


def _cell(row: pd.Series, column: Column) -> str:
    value = row[column.key]
    if pd.isna(value):
        return "—"
    text = FORMATS[column.kind](value)
    ends = interval(column.kind, *(row.get(f"{column.key}_{end}", nan) for end in ("low", "high")))
    return " ".join(filter(None, (text, ends and f"({ends})", ", ".join(told(row, column)))))


def told(row: pd.Series, column: Column) -> list[str]:
    """The attack that gave a number, and what to know about it; empty where no attack did."""
    stem = column.key.removesuffix("_auc")
    said = (row.get(f"{stem}_{key}", "") for key in ("attack", "note"))
    return [str(words) for words in said if words and pd.notna(words)]


def _line(cells: list[Any]) -> str:
    plain = (" ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(plain)} |"
