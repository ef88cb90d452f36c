"""Compare the pictures with the held-out images: FID and KID."""

import json

from leakboard import artefacts, measurements, subset
from leakboard.job import job
from leakboard.quality import quality

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    drawn = artefacts.read_npz(snakemake.input.features, spec["features"])["features"]
    real = artefacts.read_npz(snakemake.input.pools, spec["pools"])["real"]
    rows = subset.rows_of_pool(subset.read_split(snakemake.input.split), "held-out")
    found = quality(real[rows], drawn, spec["extractor"])
    measurements.write_cell(snakemake.output.cell, spec, found)
