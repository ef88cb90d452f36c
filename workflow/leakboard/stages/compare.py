"""Compare every two defenses: on pictures from the same noise, on scores of the same images."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, cast

import pandas as pd

from leakboard import artefacts
from leakboard.measures import comparison
from leakboard.measures.audit import Table, scored
from leakboard.measures.bootstrap import Resampler
from leakboard.measures.similarity import calibrated_threshold
from leakboard.randomness import derive
from leakboard.stages import Files

LISTS = {"tables": ("tables",), "scores": ("scores",)}
OPTIONAL = ("tables", "scores")
COLUMNS = [
    *("column", "a", "b", "attack_a", "attack_b", "value_a", "value_b"),
    *("difference", "ci_low", "ci_high", "p", "se", "n"),
]


def make(spec: dict[str, Any], files: Files) -> dict[str, Any]:
    """parquet: a row of COLUMNS for each column of the board and two defenses that have it.

    files: tables (similarities), scores, background. Columns: copy_rate, and {access}_auc, whose
    values are what leaks, |AUC - 0.5| of the strongest attack. What has no file is left out.
    """
    background = artefacts.read_table(files["background"][0], spec["background"])
    threshold = calibrated_threshold(background["similarity"].to_numpy(), spec["calibration"])
    tables = dict(zip(spec["tables"], files["tables"], strict=True))
    copied = {
        name: [
            artefacts.read_table(tables[digest], digest)["similarity"].to_numpy() > threshold
            for digest in digests
        ]
        for name, digests in spec["copies"].items()
        if all(digest in tables for digest in digests)
    }
    rows = [
        _row("copy_rate", a, b, comparison.copies(copied[a], copied[b]))
        for a, b in combinations(copied, 2)
    ]
    paths = dict(zip(spec["scores"], files["scores"], strict=True))
    resampler = Resampler(derive("bootstrap", spec["track"]))  # as in `membership`
    for sees, defenses in spec["leaks"].items():
        rows += _leaks(sees, defenses, paths, resampler)
    return {"parquet": pd.DataFrame(rows, columns=COLUMNS)}


def _leaks(
    sees: str, defenses: Mapping[str, Any], paths: Mapping[str, Any], resampler: Resampler
) -> list[dict[str, Any]]:
    """The rows of one access: defense -> attack -> of each seed, target -> digest of its scores."""
    cells: dict[str, dict[str, list[Any]]] = {}
    members = None
    for name, attacks in defenses.items():
        for attack, seeds in attacks.items():
            if not all(digest in paths for asked in seeds for digest in asked.values()):
                continue
            for asked in seeds:
                held = {t: artefacts.read_table(paths[d], d) for t, d in asked.items()}
                score, members = scored(cast(Mapping[str, Table], held)).judged
                cells.setdefault(name, {}).setdefault(attack, []).append(score)
    if members is None:
        return []
    leaks, pairs = comparison.all_leaks(cells, members, resampler(members))
    return [
        _row(f"{sees}_auc", a, b, found, leaks[a].attack, leaks[b].attack)
        for (a, b), found in pairs.items()
    ]


def _row(
    column: str, a: str, b: str, found: comparison.Comparison, *attacks: str
) -> dict[str, Any]:
    named = dict(zip(("attack_a", "attack_b"), attacks or ("", ""), strict=True))
    return {"column": column, "a": a, "b": b, **named, **vars(found)}
