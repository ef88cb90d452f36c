"""Extract the features of drawn pictures."""

import json

import numpy as np

from leakboard import artefacts, features
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    shards = [artefacts.read_npz(file, spec["samples"]) for file in snakemake.input.samples]
    pixels, asked = (np.concatenate([s[key] for s in shards]) for key in ("images", "asked"))
    extract = features.Extract(spec["extractor"], snakemake.input.network)
    artefacts.write_npz(
        snakemake.output.features,
        spec,
        features=extract(pixels),
        asked=asked,
        **extract.classes(pixels),
    )
