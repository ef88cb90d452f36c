"""Judge the track: ranks, comparisons, controls, and the verdict over all of it."""

import json

from leakboard import records, stages
from leakboard.job import job
from leakboard.stages import rank

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    records.write(snakemake.output, spec, files, rank.make(spec, files))
