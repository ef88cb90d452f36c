"""Compare the pictures with the held-out images: FID and KID."""

import json

from leakboard import artefacts, measurements, subset
from leakboard.job import job
from leakboard.quality import out_of_class, quality

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    drawn = artefacts.read_npz(snakemake.input.features, spec["features"])
    pools = artefacts.read_npz(snakemake.input.pools, spec["pools"])
    split = subset.read_split(snakemake.input.split)
    rows = subset.rows_of_pool(split, "held-out")
    found = quality(pools["real"][rows], drawn["features"], spec["extractor"])
    if "classes" in drawn and (drawn["asked"] >= 0).all():
        wrong = pools["classes"][rows] != split["label"].to_numpy()[rows]
        found += out_of_class(drawn["classes"] != drawn["asked"], wrong, spec["extractor"])
    measurements.write_cell(snakemake.output.cell, spec, found)
