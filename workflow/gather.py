"""Put every row of a track into one table."""

import json

from leakboard import records, stages
from leakboard.job import job
from leakboard.stages import gather

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    records.write(snakemake.output, spec, files, gather.make(spec, files))
