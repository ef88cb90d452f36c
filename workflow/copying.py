"""Count the copies, and compare with the undefended model."""

import json

from leakboard import measurements, stages
from leakboard.job import job
from leakboard.stages import copying

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    measurements.write(snakemake.output.cell, spec, files, copying.measure(spec, files))
