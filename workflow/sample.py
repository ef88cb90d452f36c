"""Draw pictures while the defense watches every denoising step."""

import json

from leakboard import artefacts, sampling
from leakboard.job import job

with job(snakemake.log[0], snakemake.output.perf, dict(snakemake.wildcards)) as this:
    spec = json.loads(snakemake.params.spec)
    files, samples = snakemake.input, spec["samples"]
    target = sampling.guarded(samples, files.networks, files.images, files.split)
    attack = sampling.extraction(samples, files.networks)
    drawn = sampling.draw(target, samples, spec["start"], spec["stop"], attack)
    this.more["drawing_seconds"] = drawn.pop("seconds")
    artefacts.write_npz(snakemake.output.samples, samples, **drawn)
