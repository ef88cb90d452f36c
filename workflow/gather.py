"""Put every row of a track into one table."""

import json

from leakboard import artefacts, measurements
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    files = {stage: snakemake.input.get(stage, []) for stage in spec["digests"]}
    table = measurements.gather(files, spec["digests"])
    artefacts.write_table(snakemake.output.parquet, spec, table)
    artefacts.write_csv(snakemake.output.csv, table)
