"""Lay the first pictures out in a grid."""

import json

from leakboard import artefacts
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.report import figures

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    images = artefacts.read_npz(snakemake.input.samples[0], spec["samples"])["images"]
    write_bytes(snakemake.output.png, figures.preview(images))
