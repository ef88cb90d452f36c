"""Extract the features of drawn pictures."""

import json

import numpy as np

from leakboard import artefacts, features
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    shards = [artefacts.read_npz(file, spec["samples"]) for file in snakemake.input.samples]
    extract = features.opened(spec["extractor"], snakemake.input.network)
    found = extract(np.concatenate([shard["images"] for shard in shards]))
    artefacts.write_npz(snakemake.output.features, spec, features=found)
