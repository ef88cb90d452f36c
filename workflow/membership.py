"""Tell how well an attack's scores separate members from strangers, for every defense."""

import json

from leakboard import measurements, stages
from leakboard.job import job
from leakboard.stages import membership

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    measurements.write(snakemake.output.cell, spec, files, membership.measure(spec, files))
