"""Write the page: one file, no request to any host."""

import json

from leakboard import records, stages
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.stages import page

with job(snakemake.log[0]):
    specs = json.loads(snakemake.params.spec)
    files = page.boards(specs, stages.inputs(snakemake.input))
    write_bytes(snakemake.output.html, page.make(specs, files)["html"].encode())
    for track, record in zip(specs, snakemake.output.records, strict=True):
        records.record(record, specs[track], files[track], {"html": snakemake.output.html})
