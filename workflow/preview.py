"""Lay the first pictures out in a grid."""

import json

from leakboard import artefacts
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.report import figures

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    images = artefacts.first_pictures(snakemake.input.samples, figures.PREVIEWED, spec["samples"])
    write_bytes(snakemake.output.png, figures.preview(images))
