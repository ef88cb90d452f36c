"""Ask about some of the audited images, as an attack does."""

import json
from pathlib import Path

from leakboard import artefacts, kept, plugins, progress, queries, settings, subset
from leakboard.job import job

with job(snakemake.log[0], snakemake.output.perf, dict(snakemake.wildcards)) as this:
    spec, files, told = json.loads(snakemake.params.spec), snakemake.input, snakemake.params
    asked, shard, answers = spec["attack"], (spec["start"], spec["stop"]), snakemake.output.answers
    table = subset.audited(subset.read_split(files.split))
    attack = plugins.load("attacks", asked["method"], asked["params"])
    origin = queries.origin(asked, files)
    earlier = [*Path(answers).parent.glob("[!.]*.npz"), Path(told.scores)]
    with kept.Kept(told.checkpoints, origin, earlier) as known:
        say = progress.reporter(snakemake.log[0])
        found = queries.asked(attack, asked, files, table, *shard, known, say)
    artefacts.write_npz(answers, asked, **kept.marks(origin, *shard), answers=found)
    this.more = {**settings.used(asked), "images": shard[1] - shard[0]}
    this.afterwards.append(lambda: known.forget(*shard))
