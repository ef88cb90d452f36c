"""Draw pictures while the defense watches every denoising step."""

import json

from leakboard import artefacts, sampling
from leakboard.job import job

with job(snakemake.log[0], snakemake.output.perf, dict(snakemake.wildcards)) as this:
    spec = json.loads(snakemake.params.spec)
    predictor, shape = sampling.guarded(
        spec["samples"], snakemake.input.networks, snakemake.input.images, snakemake.input.split
    )
    pixels, this.more["drawing_seconds"] = sampling.draw(
        predictor, shape, spec["samples"], spec["start"], spec["stop"]
    )
    artefacts.write_npz(snakemake.output.samples, spec["samples"], images=pixels)
