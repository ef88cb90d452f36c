"""Draw pictures while the defense watches every denoising step."""

import json
from pathlib import Path

from leakboard import artefacts, kept, progress, sampling, settings
from leakboard.job import job

with job(snakemake.log[0], snakemake.output.perf, dict(snakemake.wildcards)) as this:
    spec, files, made = json.loads(snakemake.params.spec), snakemake.input, snakemake.output
    samples, shard = spec["samples"], (spec["start"], spec["stop"])
    target = sampling.guarded(samples, files.networks, files.images, files.split)
    attack = sampling.extraction(samples, files.networks)
    origin = kept.key(sampling.picture(samples), files)
    earlier = kept.finished(Path(made.samples).parent, Path(made.perf).parent)
    with kept.Kept(snakemake.params.checkpoints, origin, earlier) as known:
        say = progress.reporter(snakemake.log[0])
        drawn = sampling.draw(target, samples, *shard, attack, known, say)
    cost = {"drawing_seconds": drawn.pop("seconds"), "images": shard[1] - shard[0]}
    this.more = {**settings.used(samples), **cost}
    artefacts.write_npz(made.samples, samples, **kept.marks(origin, *shard), **drawn)
    this.afterwards.append(lambda: known.forget(*shard))
