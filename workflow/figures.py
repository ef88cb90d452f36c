"""Draw what a person would look at."""

import json

from leakboard import records, stages
from leakboard.job import job
from leakboard.stages import figures

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    records.write(snakemake.output, spec, files, figures.make(spec, files))
