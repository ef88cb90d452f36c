"""Score every audited image: higher = more likely a member."""

import json

from leakboard import artefacts, plugins, sampling, subset
from leakboard.heads import Told
from leakboard.job import job

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    target = sampling.target(spec, files.networks, files.images, files.split)
    table = subset.audited(subset.read_split(files.split))
    index = table["index"].to_numpy()
    data = artefacts.read_npz(files.images, spec["subset"])
    images, labels = data["images"][index], data["labels"][index]
    attack = plugins.load("attacks", spec["method"], spec["params"])
    told = Told.dev(table)
    table["score"] = sampling.score(attack, target, images, labels, index, spec, told)
    artefacts.write_table(snakemake.output.scores, spec, table)
