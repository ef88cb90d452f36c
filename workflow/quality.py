"""Compare the pictures with the held-out images: FID and KID."""

import json

from leakboard import measurements, stages
from leakboard.job import job
from leakboard.stages import quality

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    measurements.write(snakemake.output.cell, spec, files, quality.measure(spec, files))
