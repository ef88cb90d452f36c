"""Extract the features of drawn pictures."""

import json

from leakboard import artefacts, features
from leakboard.digests import digest
from leakboard.job import job

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    if files.shards:
        found = artefacts.read_shards(files.shards, digest(spec))
    else:
        extract = features.Extract(spec["extractor"], files.network)
        found = features.of_pictures(extract, files.samples, spec["samples"], spec["batch"])
    artefacts.write_npz(snakemake.output.features, spec, **found)
