"""Tell how well an attack's scores separate members from strangers."""

import json

from leakboard import artefacts, measurements
from leakboard.job import job
from leakboard.measures.audit import audit
from leakboard.randomness import numpy_generator

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    files = zip(spec["targets"], snakemake.input.scores, spec["scores"], strict=True)
    tables = {name: artefacts.read_table(file, expected) for name, file, expected in files}
    found = audit(tables, numpy_generator("bootstrap", *spec["scores"]))
    measurements.write_cell(snakemake.output.cell, spec, found)
