"""Count how often pictures were drawn again before one was let out."""

import json

from leakboard import measurements, stages
from leakboard.job import job
from leakboard.stages import screening

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    measurements.write(snakemake.output.cell, spec, files, screening.measure(spec, files))
