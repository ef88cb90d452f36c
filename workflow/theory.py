"""Measure memorization as SIDE's theory defines it, and what labels do to it."""

import json

from leakboard import measurements, stages
from leakboard.job import job
from leakboard.stages import theory

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    measurements.write(snakemake.output.cell, spec, files, theory.measure(spec, files))
