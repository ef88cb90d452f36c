"""Score every audited image: higher = more likely a member."""

import json
from pathlib import Path

from leakboard import artefacts, kept, plugins, progress, queries, settings, subset
from leakboard.digests import digest
from leakboard.heads import Told
from leakboard.job import job

with job(snakemake.log[0], snakemake.output.perf, dict(snakemake.wildcards)) as this:
    spec, files, told = json.loads(snakemake.params.spec), snakemake.input, snakemake.params
    table = subset.audited(subset.read_split(files.split))
    attack = plugins.load("attacks", spec["method"], spec["params"])
    origin, every = queries.origin(spec, files), (0, len(table))
    known = kept.Kept(told.checkpoints, origin, Path(told.shards).glob("[!.]*.npz"))
    if files.shards:
        found = artefacts.read_shards(files.shards, digest(spec), ["answers"])["answers"]
    else:
        with known:
            say = progress.reporter(snakemake.log[0])
            found = queries.asked(attack, spec, files, table, *every, known, say)
    table["score"] = queries.scores(attack, found, spec, Told.dev(table))
    marks = {} if hasattr(attack, "fit") else {"key": origin}  # a head's scores are no answers
    artefacts.write_table(snakemake.output.scores, spec, table, **marks)
    this.more = {**settings.used(spec), "images": len(table)}
    this.afterwards.append(lambda: known.forget(*every))
