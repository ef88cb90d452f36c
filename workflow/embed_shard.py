"""Extract the features of some of a set of drawn pictures."""

import json

from leakboard import artefacts, features
from leakboard.job import job

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec)["embed"], snakemake.input
    extract = features.Extract(spec["extractor"], files.network)
    found = features.of_pictures(extract, [files.samples], spec["samples"], spec["batch"])
    artefacts.write_npz(snakemake.output.features, spec, **found)
