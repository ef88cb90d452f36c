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
    extractor: str,
    calibration: float,
) -> dict[str, bytes]:
    """name -> PNG: samples, neighbors, roc, similarity, loss.

    drawn: defense -> pictures (n, h, w, c), the first shard; tables: defense -> neighbor tables;
    images: all real images; background (m,): held-out similarities; scores: (attack, whom it
    attacks, score table), of which the test half is shown; losses: network -> its curve (step,
    loss).
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
        "loss": figures.loss_curves(loss),
    }
