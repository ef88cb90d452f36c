"""Measure memorization as SIDE's theory defines it, and what labels do to it."""

import json

from leakboard import artefacts, measurements, subset
from leakboard.job import job
from leakboard.measures import theory
from leakboard.randomness import numpy_generator

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    drawn, plain = (
        artefacts.read_npz(file, spec[key])
        for file, key in zip(files.features, ("features", "undefended"), strict=True)
    )
    real = artefacts.read_npz(files.pools[0], spec["pools"])["real"]
    split = subset.read_split(files.split)
    members, labels = subset.rows_of_pool(split, "members"), split["label"].to_numpy()
    if spec["labels"]:
        labels = subset.relabeled(labels, files.labels[0])
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
    measurements.write_cell(snakemake.output.cell, spec, found)
