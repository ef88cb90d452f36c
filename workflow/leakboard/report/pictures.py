"""The figures of a board, from what its steps have measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard.measures.membership import auc, roc
from leakboard.measures.similarity import calibrated_threshold
from leakboard.report import figures

Pixels = NDArray[np.uint8]


def pictures(
    *,
    drawn: Mapping[str, Pixels],
    tables: Mapping[str, pd.DataFrame],
    images: Pixels,
    background: NDArray[Any],
    scores: Iterable[tuple[str, str, pd.DataFrame]],
    losses: Mapping[str, pd.DataFrame],
    extracted: pd.DataFrame,
    grids: Iterable[Mapping[str, Any]],
    extractor: str,
    calibration: float,
) -> dict[str, bytes]:
    """name -> PNG: samples, neighbors, roc, similarity, extraction, loss.

    drawn: defense -> pictures (n, h, w, c), the first shard; tables: defense -> neighbor tables;
    images: all real images; background (m,): held-out similarities; scores: (attack, whom it
    attacks, score table), of which the test half is shown; losses: network -> its curve (step,
    loss); extracted: measurements of extraction attacks; grids: see `drawings.grids`.
    """
    pairs = {}
    for name, table in tables.items():
        shown = table[table["sample"] < len(drawn[name])]
        samples = drawn[name][shown["sample"]]
        pairs[name] = (samples, images[shown["neighbor"]], shown["similarity"].to_numpy())
    curves: dict[str, dict[str, Any]] = {}
    for attack, label, table in scores:
        test = table[table["fold"] == "test"]
        score, member = test["score"].to_numpy(), (test["pool"] == "members").to_numpy()
        panel = curves.setdefault(attack, {})
        panel[f"{label} ({auc(score, member):.3f})"] = roc(score, member)[:2]
    similar = {name: table["similarity"].to_numpy() for name, table in tables.items()}
    threshold = calibrated_threshold(background, calibration)
    loss = {name: (np.asarray(t["step"]), np.asarray(t["loss"])) for name, t in losses.items()}
    return {
        "samples": figures.sample_grids(drawn),
        "neighbors": figures.neighbor_pairs(pairs),
        "roc": figures.roc(curves),
        "similarity": figures.similarity_histogram(similar, background, threshold, extractor),
        "extraction": figures.extraction(strengths(extracted, grids, extractor)),
        "loss": figures.loss_curves(loss),
    }


def strengths(
    rows: pd.DataFrame, grids: Iterable[Mapping[str, Any]], extractor: str
) -> dict[str, dict[str, dict[str, NDArray[np.float64]]]]:
    """attack, access and N -> AMS or UMS -> defense -> (k, 4): lambda, value, ci_low, ci_high.

    Above the copy threshold. Several seeds: means. lambda = 0 is the attack that draws the same
    plainly; where there is none, the plain pictures beside the best lambda, whose AMS alone is
    comparable: they are fewer, and UMS falls with their number.
    """
    copy, found = f"copy:{extractor}", {}
    for grid in grids:
        family, sees = grid["family"], grid["sees"]
        each = [(strength, attack, sees) for strength, attack in grid["attacks"]]
        panels: dict[str, dict[str, NDArray[np.float64]]] = {}
        for score in ("ams", "ums"):
            curves = {}
            for defense in grid["defenses"]:
                mine = rows[rows["defense"] == defense]
                points = [(s, _of(mine, a, by, f"{score}:{copy}")) for s, a, by in each]
                if defense in grid["plain"]:
                    attack, by = grid["plain"][defense]
                    points += [(0.0, _of(mine, attack, by, f"{score}:{copy}"))]
                elif score == "ams" and min(grid["attacks"])[0] > 0:
                    beside = _of(mine, family, sees, f"{score}:{copy}:best-random")
                    points += [(0.0, beside)]
                curve = [[s, *numbers] for s, numbers in points if np.isfinite(numbers[0])]
                if curve:
                    curves[defense] = np.array(sorted(curve))
            panels[score.upper()] = curves
        each_n = (rows["attack"] == grid["attacks"][0][1]) & (rows["metric"] == f"ams:{copy}")
        n = rows.loc[each_n, "n"].mean()
        found[f"{family}\nsees the {sees}\nN = {n:.0f} each"] = panels
    return found


def _of(rows: pd.DataFrame, attack: str, sees: str, metric: str) -> list[float]:
    """Value, ci_low and ci_high of one metric of one attack, the means over seeds."""
    mine = (rows["attack"] == attack) & (rows["sees"] == sees) & (rows["metric"] == metric)
    return rows.loc[mine, ["value", "ci_low", "ci_high"]].astype(float).mean().tolist()
