"""Count how often pictures were drawn again before one was let out."""

import json

import numpy as np

from leakboard import artefacts, measurements
from leakboard.job import job
from leakboard.measures.screening import screening

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    shards = [artefacts.read_npz(file, spec["samples"]) for file in snakemake.input.samples]
    tries, passed = (np.concatenate([s[key] for s in shards]) for key in ("tries", "passed"))
    measurements.write_cell(
        snakemake.output.cell, spec, screening(tries, passed, spec["extractor"])
    )
