"""Draw pictures while the defense watches every denoising step."""

import json

from leakboard import artefacts, sampling
from leakboard.job import job

with job(snakemake.log[0], snakemake.output.perf, dict(snakemake.wildcards)) as this:
    spec = json.loads(snakemake.params.spec)
    target = sampling.guarded(
        spec["samples"], snakemake.input.networks, snakemake.input.images, snakemake.input.split
    )
    drawn = sampling.draw(target, spec["samples"], spec["start"], spec["stop"])
    this.more["drawing_seconds"] = drawn.pop("seconds")
    artefacts.write_npz(snakemake.output.samples, spec["samples"], **drawn)
