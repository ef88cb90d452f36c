"""Draw what a person would look at."""

import json

import numpy as np
import pandas as pd

from leakboard import artefacts
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.measures.membership import auc, roc
from leakboard.measures.similarity import calibrated_threshold
from leakboard.report import figures

with job(snakemake.log[0]):
    spec, files, output = json.loads(snakemake.params.spec), snakemake.input, snakemake.output
    names = spec["defenses"]
    drawn = {n: artefacts.read_npz(f)["images"] for n, f in zip(names, files.samples, strict=True)}
    tables = {n: artefacts.read_table(f) for n, f in zip(names, files.tables, strict=True)}
    background = artefacts.read_table(files.background[0])["similarity"].to_numpy()
    images = artefacts.read_npz(files.images)["images"]
    write_bytes(output.samples, figures.sample_grids(drawn))
    pairs = {}
    for name, table in tables.items():
        shown = table[table["sample"] < len(drawn[name])]  # the first shard
        pairs[name] = (
            drawn[name][shown["sample"]],
            images[shown["neighbor"]],
            shown["similarity"].to_numpy(),
        )
    write_bytes(output.neighbors, figures.neighbor_pairs(pairs))
    curves = {}
    for label, file in zip(spec["scores"], files.scores, strict=True):
        table = artefacts.read_table(file)
        table = table[table["fold"] == "test"]
        score, member = table["score"].to_numpy(), (table["pool"] == "members").to_numpy()
        curves[f"{label} ({auc(score, member):.3f})"] = roc(score, member)[:2]
    write_bytes(output.roc, figures.roc(curves))
    similar = {name: table["similarity"].to_numpy() for name, table in tables.items()}
    threshold = calibrated_threshold(background, spec["calibration"])
    histogram = figures.similarity_histogram(similar, background, threshold, spec["extractor"])
    write_bytes(output.similarity, histogram)
    losses = {n: pd.read_csv(f) for n, f in zip(spec["curves"], files.curves, strict=True)}
    loss = {n: (np.asarray(t["step"]), np.asarray(t["loss"])) for n, t in losses.items()}
    write_bytes(output.loss, figures.loss_curves(loss))
