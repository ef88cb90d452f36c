"""Put every row of a track into one table."""

import json
from pathlib import Path

from leakboard import artefacts, measurements
from leakboard.files import atomic
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    table = measurements.gather(snakemake.input.cells, spec["digests"])
    artefacts.write_table(snakemake.output.parquet, spec, table)
    with atomic(Path(snakemake.output.csv)) as temporary:
        measurements.write_csv(temporary, table)
