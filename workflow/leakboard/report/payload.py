"""What scripts read: the page's numbers and where they come from, compact, packed and escaped."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd

from leakboard.report.cells import text

FIELDS = (
    *("seed", "defense", "sampler", "attack", "sees", "metric", "value", "ci_low", "ci_high", "n"),
    *("unit", "better", "reported", "status", "note", "digest"),
)
NUMBERS = {"seed", "value", "ci_low", "ci_high", "n", "reported"}
PAIRS = ("column", "a", "b", "attack_a", "attack_b", "family", "verdict")
TESTED = ("difference", "ci_low", "ci_high", "p", "p_holm", "n")
HASH = 16  # characters of a digest that the page shows
DIGITS = 3  # of differences and their p: what a reader is shown of them
STEPS = 200  # per decade, of a drawn curve: finer than a screen


def packed(content: Any) -> str:
    """JSON, compressed, in base64: letters that mean nothing to a page; equal for equal content."""
    plain = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return b64encode(gzip.compress(plain.encode(), compresslevel=9, mtime=0)).decode()


def embedded(content: Any) -> str:
    """JSON that may stand inside a script element whatever it holds."""
    plain = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        plain = plain.replace(letter, f"\\u{ord(letter):04x}")
    return plain


def columnar(
    frame: pd.DataFrame, words: Iterable[str], numbers: Iterable[str], digits: int | None = None
) -> dict[str, Any]:
    """A frame column by column: numbers as they are, or to some digits; each word once, by place.

    {"rows": n, "words": [...], "columns": {name: [...]}}; columns that the frame lacks are empty.
    """
    known: dict[str, int] = {}
    columns: dict[str, list[Any]] = {}
    for name in words:
        said = map(text, frame[name]) if name in frame else [""] * len(frame)
        columns[name] = [known.setdefault(word, len(known)) for word in said]
    for name in numbers:
        columns[name] = [None] * len(frame)
        if name in frame:
            found = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float)
            columns[name] = [rounded(float(x), digits) for x in found]
    return {"rows": len(frame), "words": list(known), "columns": columns}


def rounded(value: float, digits: int | None = None) -> float | int | None:
    """A number for JSON: null where there is none, whole numbers without a point."""
    if not isfinite(value):
        return None
    value = float(value) if digits is None else float(f"{value:.{digits}g}")
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def measured(frame: pd.DataFrame) -> dict[str, Any]:
    """Every measurement, with all digits."""
    words = [name for name in FIELDS if name not in NUMBERS]
    return columnar(frame, words, [name for name in FIELDS if name in NUMBERS])


def compared(frame: pd.DataFrame) -> dict[str, Any]:
    """Every paired comparison."""
    return columnar(frame, PAIRS, TESTED, DIGITS)


def drawn(frame: pd.DataFrame) -> dict[str, Any]:
    """ROC curves on their common grid, to be drawn: {"fpr": [...], "steps": per decade, "lines":
    [[attack, sees, defense, scored_by, tpr, low, high], ...]}.

    A rate r is round(steps log10 r), no less than that of the lowest FPR; the first of a curve as
    it is, each other one as its difference to the one before.
    """
    if not len(frame):
        return {"fpr": [], "steps": STEPS, "lines": []}
    keys = ["attack", "sees", "defense", "scored_by"]
    order = frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    frame = frame.iloc[np.lexsort((frame["fpr"].to_numpy(), order))]
    grid = np.unique(frame["fpr"].to_numpy())
    rates = frame[["tpr", "low", "high"]].to_numpy(dtype=float).reshape(-1, grid.size, 3)
    steps = np.rint(STEPS * np.log10(np.clip(np.nan_to_num(rates), grid[0], 1))).astype(int)
    changes = np.diff(steps, axis=1, prepend=0).swapaxes(1, 2).tolist()
    names = frame[keys].iloc[:: grid.size].to_numpy().tolist()
    lines = [[*map(text, name), *ends] for name, ends in zip(names, changes, strict=True)]
    return {"fpr": [rounded(x, 6) for x in grid], "steps": STEPS, "lines": lines}


def counted(frame: pd.DataFrame) -> dict[str, Any]:
    """Histograms of similarity: {"extractor", "threshold", "edges", "defenses": {name: [n,
    counts]}}; the background is named "".
    """
    if not len(frame):
        return {}
    found = {}
    frame = frame.assign(defense=[text(name) for name in frame["defense"]])  # "" is read as none
    for name, bars in frame.groupby("defense", sort=False):
        found[str(name)] = [int(bars["n"].iloc[0]), bars["count"].astype(int).tolist()]
    first = frame[frame["defense"] == frame["defense"].iloc[0]]
    edges = [*first["low"], first["high"].iloc[-1]]
    return {
        "extractor": text(frame["extractor"].iloc[0]),
        "threshold": rounded(frame["threshold"].iloc[0], DIGITS),
        "edges": [rounded(x, DIGITS) for x in edges],
        "defenses": found,
    }


def made(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every measurement file: what it measured, from which files, how to make it anew.

    `cells` are [defense, attack, sees, seed, spec] of each cell in it, `spec` what they share.
    """
    found = []
    for each in cells:
        spec = dict(each.get("spec") or {})
        parts = [dict(part) for part in spec.pop("cells", None) or [spec]]
        told = []
        for part in parts:
            about = part.get("about") or {}
            who = [text(about.get(key)) for key in ("defense", "attack", "sees", "sampler")]
            told.append([*who, about.get("seed"), {} if part is spec else part])
        files = [
            [kind, str(path), str(sha)[:HASH]]
            for kind, some in (each.get("inputs") or {}).items()
            for path, sha in some
        ]
        keys = ("stage", "path", "command", "log")
        entry: dict[str, Any] = {key: text(each.get(key)) for key in keys}
        found.append({**entry, "spec": spec, "cells": told, "inputs": files})
    return found


def thinned(lines: list[list[Any]], wanted: set[tuple[str, str, str]]) -> list[list[Any]]:
    """The curves of the (attack, sees, defense) that are wanted."""
    return [line for line in lines if tuple(line[:3]) in wanted]


def outlined(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measurement files without what they were made from: that stands in the files."""
    return [
        {**each, "spec": {}, "inputs": [], "cells": [[*c[:-1], {}] for c in each["cells"]]}
        for each in files
    ]


def strongest(frame: pd.DataFrame, accesses: Iterable[str]) -> set[tuple[str, str, str]]:
    """(attack, sees, defense) of the strongest attack of each access on each defense."""
    rows = frame[(frame["metric"] == "auc") & frame["sees"].isin(list(accesses))]
    gaps = (pd.to_numeric(rows["value"], errors="coerce") - 0.5).abs()
    rows = rows.assign(gap=gaps.fillna(-1)).sort_values("gap", ascending=False, kind="stable")
    top = rows.drop_duplicates(["sees", "defense"])
    return {tuple(each) for each in top[["attack", "sees", "defense"]].to_numpy().tolist()}


def size(*texts: str) -> int:
    """Bytes of UTF-8."""
    return int(np.sum([len(each.encode()) for each in texts]))
