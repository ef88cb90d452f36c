"""Judge the judge: does the extractor know copies from strangers?"""

import json

from leakboard import measurements, stages
from leakboard.job import job
from leakboard.stages import describe

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), stages.inputs(snakemake.input)
    measurements.write(snakemake.output.cell, spec, files, describe.measure(spec, files))
