"""Choose the members, the held-out and the reference images."""

import json

from leakboard import artefacts, datasets
from leakboard.job import job
from leakboard.published import sides
from leakboard.splits import split

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    how = dict(spec["subset"])
    named = {key: how.pop(key) for key in ("split", "files") if key in how}
    images, labels, columns = datasets.load(**spec["dataset"], seed=how["seed"])
    table = split(images, labels, **how, sides=sides(columns, len(images), **named))
    names = table[["index"]].assign(**{k: v for k, v in columns.items() if k != "number"})
    table = table.assign(**{k: v for k, v in columns.items() if k == "number"})
    artefacts.write_npz(snakemake.output.images, spec, images=images, labels=labels)
    artefacts.write_csv(snakemake.output.split, table)
    artefacts.write_csv(snakemake.output.names, names)
