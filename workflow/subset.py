"""Choose the members, the held-out and the reference images."""

import json

from leakboard import artefacts, plugins
from leakboard.job import job
from leakboard.splits import split

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    images, labels = plugins.load("datasets", **spec["dataset"]).load()
    table = split(images, labels, **spec["subset"])
    artefacts.write_npz(snakemake.output.images, spec, images=images, labels=labels)
    artefacts.write_csv(snakemake.output.split, table)
