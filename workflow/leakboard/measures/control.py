"""Controls: entries whose outcome is known beforehand, and that say when a board means nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import inf, isfinite
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from leakboard.measures.shown import FORMATS, interval
from leakboard.measures.strongest import ACCESS, NUMBERS

# Chance that the null bands of a sound board are left, for one role: Bonferroni over its attacks.
FALSE_ALARM = 0.01
NEARLY_ALL = 0.95  # of what a copy machine draws must count as copies
COPY_MEASURES = ("copy_rate", "memorization_ratio", "nl2<1.4", "ams:copy")
ROLES = {  # what a track without such an entry cannot rule out
    "copy-machine": "that its measures of copies see copies",
    "never-saw-members": "that its attacks find what is no member",
    "noise": "that its utility gate stops what is useless",
    "blind": "that the split itself gives members away",
}


Row = dict[str, Any]
COLUMNS = [
    *("track", "control", "role", "metric", "attack", "sees", "seed", "value", "ci_low", "ci_high"),
    *("expected_low", "expected_high", "n", "passed", "words"),
]


def controls(
    measurements: pd.DataFrame,
    roles: Mapping[str, str],
    headline: Mapping[str, str],
    *,
    gate: float,
    calibration: float,
    members: int,
    leaks: Collection[str] = ("copies", "members"),
) -> pd.DataFrame:
    """One row per thing that is known beforehand, with the columns COLUMNS; `passed` is bool.

    roles: defense -> role. headline: the metrics `copies` and `quality`. calibration: the share of
    strangers that pass for copies. The undefended model must leak what `leaks` says: copies and,
    with scores as they are (higher = member), members to the best attack: its interval lies above
    chance. What the copy machine draws are copies by every measure. Of a model that never saw
    members, and for an attack that sees no model, AUCs stay in the null band of Mann and Whitney's
    U, which FALSE_ALARM of sound boards leave. Noise fails the utility gate. What was not measured
    has no row.
    """
    rows = measurements.copy()
    rows[NUMBERS] = rows[NUMBERS].apply(pd.to_numeric, errors="coerce")
    texts = ["defense", "sampler", "attack", "sees", "metric"]
    rows[texts] = rows[texts].astype(object).where(rows[texts].notna(), "")
    found: list[Row] = []
    for name, role in roles.items():
        mine = rows[rows["defense"] == name]
        if role == "undefended":
            if "copies" in leaks:
                found += _copies(name, mine, headline["copies"], calibration)
            found += _found(name, mine) if "members" in leaks else []
        elif role == "copy-machine":
            found += _fires(name, mine, members)
        elif role == "never-saw-members":
            found += _chance(name, role, mine)
        elif role == "noise":
            found += _useless(name, mine, rows, headline["quality"], gate)
    found += _chance("", "blind", rows[rows["sees"] == "nothing"])
    return pd.DataFrame(found, columns=COLUMNS)


def _copies(name: str, rows: pd.DataFrame, metric: str, calibration: float) -> Iterator[Row]:
    """The undefended model copies more often than strangers pass for copies."""
    drawn = rows[(rows["metric"] == metric) & (rows["sampler"] == "plain")].dropna(subset="value")
    for row in _records(drawn):
        passed = row["ci_low"] > calibration
        copies, ends = _shown("rate", row)
        strangers = FORMATS["rate"](calibration)
        yield _control(
            name,
            "undefended",
            row,
            low=calibration,
            high=1.0,
            words=f"{name} copies a training image in {copies} ({ends}) of its samples; "
            + (
                f"strangers come as near in {strangers} of the cases."
                if passed
                else f"this is not told from the {strangers} of strangers, so there is nothing "
                "that a defense could prevent, and no copy rate here means anything."
            ),
            passed=passed,
        )


def _found(name: str, rows: pd.DataFrame) -> Iterator[Row]:
    """The best attack on the undefended model, of who sees most, scores members higher."""
    aucs = rows[rows["metric"] == "auc"].dropna(subset="value")
    for sees in ACCESS:
        seen = aucs[aucs["sees"] == sees]
        if not len(seen):
            continue
        for _, each in seen.groupby("seed", sort=False):
            (row,) = _records(each.nlargest(1, "value"))
            passed = row["ci_low"] > 0.5
            auc, ends = _shown("auc", row)
            yield _control(
                name,
                "undefended",
                row,
                low=0.5,
                high=1.0,
                words=f"The best attack on the {sees} of {name}, {row['attack']}, tells its "
                f"members with an AUC of {auc} ({ends})"
                + (
                    "."
                    if passed
                    else ": members do not score higher than strangers where nothing protects "
                    "them, so the attacks or their labels are wrong, or the model learned nothing."
                ),
                passed=passed,
            )
        return  # who sees most speaks for the others


def _fires(name: str, rows: pd.DataFrame, members: int) -> Iterator[Row]:
    """Every measure of copies knows the copies of a copy machine.

    But for CPSample's permutation test of the largest similarity: a random set with one copied
    image in it ties with the members, so that one cannot see wholesale copying (`_mean` can).
    """
    for row in _records(rows.dropna(subset="value")):
        kind = row["metric"].rpartition(":")[0]
        low, high, shown = NEARLY_ALL, 1.0, "rate"
        if kind == "ums:copy":  # at most every member once; chance misses some
            low = 0.5 * min(row["n"], members) / row["n"]
        elif kind == "permutation_mean_p":
            low, high, shown = 0.0, 0.05, "p"
        elif kind.partition(">")[0] not in COPY_MEASURES:
            continue
        passed = low <= row["value"] <= high
        value = FORMATS[shown](row["value"])
        wanted = f"at least {FORMATS['rate'](low)}" if high == 1 else f"at most {high:g}"
        yield _control(
            name,
            "copy-machine",
            row,
            low=low,
            high=high,
            words=f"{row['metric']} is {value} for {name}, which draws nothing but training images"
            + ("." if passed else f": it misses copies; {wanted} expected."),
            passed=passed,
        )


def _chance(name: str, role: str, rows: pd.DataFrame) -> Iterator[Row]:
    """No attack finds what is not there: its AUC is in the null band."""
    aucs = rows[rows["metric"] == "auc"].dropna(subset="value")
    cell = ["attack", "sees", "seed"]
    sizes = {
        metric: rows[rows["metric"] == metric].set_index(cell)["n"].to_dict()
        for metric in ("tpr@1%fpr:dev-threshold", "fpr:dev-threshold")  # members, strangers
    }
    for row in _records(aucs):
        inside, outside = (
            each.get(tuple(row[c] for c in cell), row["n"] / 2) for each in sizes.values()
        )
        low, high = null_band(inside, outside, 1 - FALSE_ALARM / len(aucs))
        passed = low <= row["value"] <= high
        auc, band = FORMATS["auc"](row["value"]), interval("auc", low, high)
        who = f"{row['attack']} on the {row['sees']} of {name}, which never saw a member,"
        wrong = "it finds what is not there, and so it may on every other row"
        if role == "blind":
            who = f"{row['attack']}, which sees no model,"
            wrong = (
                "the split itself tells members from strangers, so no AUC here speaks of the model "
                "alone"
            )
        yield _control(
            name or row["attack"],
            role,
            row,
            low=low,
            high=high,
            words=f"{who} reaches an AUC of {auc}; chance gives {band}"
            + ("." if passed else f": {wrong}."),
            passed=passed,
        )


def _useless(
    name: str, mine: pd.DataFrame, rows: pd.DataFrame, metric: str, gate: float
) -> Iterator[Row]:
    """Noise is farther from real images than the gate lets pass."""
    fids = rows[(rows["metric"] == metric) & (rows["defense"] == "none")]
    undefended = fids.set_index("seed")["value"].to_dict()
    for row in _records(mine[mine["metric"] == metric].dropna(subset="value")):
        low = gate * undefended.get(row["seed"], np.nan)
        if not isfinite(low):
            continue
        passed = row["value"] > low
        times = row["value"] / low * gate
        yield _control(
            name,
            "noise",
            row,
            low=low,
            high=inf,
            words=f"The FID of {name} is {times:.3g} times that of none"
            + (
                f": the utility gate ({gate:g} times) stops it."
                if passed
                else f", which the utility gate ({gate:g} times) lets pass: useless pictures would "
                "be ranked."
            ),
            passed=passed,
        )


def null_band(members: float, strangers: float, level: float) -> tuple[float, float]:
    """Where the AUC of a score that knows nothing lies, with probability `level`.

    Source: the null variance of Mann & Whitney's U, (m + s + 1) / (12 m s), without ties.
    """
    deviation = np.sqrt((members + strangers + 1) / (12 * members * strangers))
    reach = float(norm.ppf((1 + level) / 2) * deviation)
    return max(0.0, 0.5 - reach), min(1.0, 0.5 + reach)


def verdict(table: pd.DataFrame, roles: Mapping[str, str]) -> dict[str, Any]:
    """What controls say of a board: `valid`, and in sentences `reasons` why not, and `warnings`."""
    measured = set(table["role"])
    there = {*roles.values(), *(["blind"] if "blind" in measured else [])}
    warnings = []
    for role, doubt in ROLES.items():
        if role not in there:
            warnings.append(f"This track has no control '{role}', so it cannot rule out {doubt}.")
        elif role not in measured:
            warnings.append(f"The control '{role}' has no number: nothing vouches for the board.")
    failed = table[~table["passed"].astype(bool)]
    reasons = list(dict.fromkeys(failed["words"]))
    return {"valid": not reasons, "reasons": reasons, "warnings": warnings}


def _records(rows: pd.DataFrame) -> list[Row]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _control(
    name: str, role: str, row: Row, *, low: float, high: float, words: str, passed: bool
) -> Row:
    """A row of COLUMNS: the measured one, what was expected of it, and a sentence."""
    kept = {column: row.get(column) for column in COLUMNS}
    expected = {"expected_low": low, "expected_high": high, "passed": bool(passed), "words": words}
    return {**kept, "control": name, "role": role, **expected}


def _shown(kind: str, row: Row) -> tuple[str, str]:
    return FORMATS[kind](row["value"]), interval(kind, row["ci_low"], row["ci_high"])
