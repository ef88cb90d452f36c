"""Compare every two defenses, on the same images and the same noise."""

import json

from leakboard import records, stages
from leakboard.job import job
from leakboard.stages import compare

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    records.write(snakemake.output, spec, files, compare.make(spec, files))
