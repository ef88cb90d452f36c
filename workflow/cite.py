"""Put what papers report beside what was measured."""

import json

from leakboard import records, stages
from leakboard.job import job
from leakboard.stages import cite

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    records.write(snakemake.output, spec, files, cite.make(spec, files))
