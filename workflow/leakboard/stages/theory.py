"""Measure memorization as SIDE's theory defines it, and what labels do to it: one defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, subset
from leakboard.measures import theory
from leakboard.measures.measure import Measure
from leakboard.randomness import numpy_generator
from leakboard.stages import Files

Spec = dict[str, Any]


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about drawn pictures. files: features (its own, and of `none`), pools, labels, split."""
    drawn, plain = (
        artefacts.read_npz(file, spec[key])
        for file, key in zip(files["features"], ("features", "undefended"), strict=True)
    )
    real = artefacts.read_npz(files["pools"][0], spec["pools"])["real"]
    split = subset.read_split(files["split"][0])
    members, labels = subset.rows_of_pool(split, "members"), split["label"].to_numpy()
    if spec["labels"]:
        labels = subset.relabeled(labels, files["labels"][0])
    scale = real.shape[1] ** 0.5 if spec["rms"] else 1.0  # pixels in [0, 1], each a dimension
    drawn_at, plain_at, members_at = (
        scale * x.astype("float64") for x in (drawn["features"], plain["features"], real[members])
    )
    how, found = spec["how"], []
    space = {"extractor": how["extractor"], "entropy": how["entropy"]}
    for epsilon in how["epsilons"]:
        found += theory.memorization(drawn_at, members_at, epsilon=epsilon, **space)
    if spec["told"]:
        rng = numpy_generator(*spec["names"])
        pairs = (drawn_at, drawn["asked"], plain_at, members_at, labels[members])
        found += theory.conditional_ratio(*pairs, rng, epsilons=how["epsilons"], **space)
    return [(spec, found)]


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    how = spec["how"]
    return [f"memorization_metric@{e:g}:{how['extractor']}" for e in how["epsilons"]]
