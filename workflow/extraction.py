"""Count what extraction attacks draw of the members, for every defense."""

import json

from leakboard import measurements, stages
from leakboard.job import job
from leakboard.stages import extraction

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    measurements.write(snakemake.output.cell, spec, files, extraction.measure(spec, files))
