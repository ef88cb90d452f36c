"""The leaderboard: long measurements in, one row per defense out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any

import numpy as np
import pandas as pd

from leakboard.measures.strongest import ACCESS, NUMBERS, TPR, extraction, membership

COSTS = ("training_seconds", "sampling_seconds", "sampling_ratio", "peak_memory_mb")
TEXTS = ["track", "defense", "sampler", "attack", "sees", "metric", "status", "note"]
ATTACKED = ("auc", "auc_low", "auc_high", "attack", "note", "tpr")
DRAWN = ("", "_low", "_high", "_attack")
COLUMNS = [
    *(
        "track",
        "defense",
        "copy_rate",
        "copy_rate_low",
        "copy_rate_high",
        "copy_p",
        "memorized",
        "nl2",
    ),
    *(f"extracted_{score}{x}" for score in ("ams", "ums") for x in DRAWN),
    "extracted_ums_note",
    *(f"{sees}_{x}" for sees in ACCESS for x in ATTACKED),
    *("fid", "fid_low", "fid_high", "kid", *COSTS),
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
    upper ends (no pooling), and `copy_p` the largest p (a mean of p-values is not a p-value).
    Rates and AUCs are in [0, 1]; `samples` and `audited` count images per seed.
    Rows: `none` first, then by the upper end of the copy rate, then by the AUC against the
    predictor, missing last. The order claims no rank. A cell without a number is NaN, and
    `status` names it; a cell lacking in some seeds is named with them.
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
            row = {"track": track, "defense": name, "seeds": mine["seed"].nunique()}
            row |= _copies_and_quality(mine, metrics) | membership(mine) | _costs(costs, row)
            row |= extraction(mine, contenders)
            wanted = [("", "", metric) for metric in metrics.values()]
            wanted += [(attack, sees, "auc") for attack, sees in entry.get("attacks", ())]
            row["status"] = _status(row, mine, wanted, set(here["seed"]), metrics["copy_p"])
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
    extractor, features = (headline[key].partition(":")[2] for key in ("copies", "quality"))
    return {
        "copy_rate": headline["copies"],
        "copy_p": f"copy_fisher_p:{extractor}",
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
        found[column] = these["value"].max() if column == "copy_p" else these["value"].mean()
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
    comparison: str,
) -> str:
    """`complete`, or `missing:` and the cells without a number, in all seeds or in some."""
    found = rows.dropna(subset="value").groupby(["attack", "sees", "metric"])["seed"].agg(set)
    missing = []
    for attack, sees, metric in wanted:
        if metric == comparison and row["defense"] == "none":
            continue
        cell = " ".join(filter(None, (metric, attack and f"of {attack}", sees and f"({sees})")))
        lacking = seeds - found.get((attack, sees, metric), set())
        if lacking == seeds:
            missing.append(cell)
        elif lacking:
            missing.append(f"{cell} in seed {', '.join(sorted(map(str, lacking)))}")
    for sees in ACCESS:
        if not any(access == sees for _, access, _ in wanted):
            missing.append(f"auc ({sees})")
        tprs = rows[(rows["sees"] == sees) & (rows["metric"] == TPR)]
        if not (isfinite(row[f"{sees}_tpr"]) or tprs["status"].eq("unresolved").any()):
            missing.append(f"{TPR} ({sees})")
    missing += [column for column in COSTS if not isfinite(row[column])]
    return f"missing: {', '.join(missing)}" if missing else "complete"


def _order(row: Mapping[str, Any]) -> tuple[bool, float, float, str]:
    high, auc = (v if isfinite(v) else inf for v in (row["copy_rate_high"], row["predictor_auc"]))
    return row["defense"] != "none", high, auc, row["defense"]


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
SHOWN = (
    Column("copy_rate", "Copies", "Copy rate", "rate", "share of samples that copy; lower"),
    Column("copy_p", "Copies", "p vs none", "p", "Fisher's exact test against none"),
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


def to_markdown(table: pd.DataFrame, control: str = "") -> str:
    """Return the leaderboard as a GitHub table, two lines of explanation above it.

    The second ends with what a `control` said.
    """
    several = table["track"].nunique() > 1
    heads = ["Track"] * several + ["Defense"]
    for column in SHOWN:
        sees = column.group.removeprefix("Attacker sees ")
        heads.append(f"{column.title}, {sees}" if sees in ACCESS else column.title)
    lines = [*_explanation(table, control), "", _line([*heads, "Seeds", "Status"])]
    lines.append(_line(["---"] * (several + 1) + ["---:"] * (len(SHOWN) + 1) + ["---"]))
    for _, row in table.iterrows():
        start = [row["track"]] * several + [f"**{row['defense']}**"]
        cells = [_cell(row, column) for column in SHOWN]
        lines.append(_line([*start, *cells, row["seeds"], row["status"]]))
    return "\n".join(lines) + "\n"


def _explanation(table: pd.DataFrame, control: str) -> tuple[str, str]:
    samples, audited = (
        " or ".join(f"{n:.0f}" for n in sorted(table[key].dropna().unique())) or "unknown"
        for key in ("samples", "audited")
    )
    return (
        "Lower is better in every column but p, AUC at best 0.5 (a coin toss; 1 is certainty): "
        "copies, d1/d2 and nL2 are shares of samples that copy a training image "
        f"(n = {samples} samples per seed), p compares copies with `none` (small: hardly "
        "luck), AMS is the share of an extraction attack's pictures that copy, UMS how many "
        "different images they copy per picture (compare equal N only), AUC is that of the "
        "strongest attack with the named access and TPR the "
        f"highest at 1% FPR (n = {audited} audited images), FID and KID are distances to real "
        "images, the rest is cost.  ",
        "Intervals, over images and not over trainings, stand in parentheses, — means no number; "
        "`none` is the model without a defense, the others follow by the upper end of the copy "
        f"rate, and no rank is claimed. {control}".rstrip(),
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
