"""Count the copies, and compare with the undefended model."""

import json

from leakboard import artefacts, measurements, subset
from leakboard.job import job
from leakboard.measures import copying
from leakboard.randomness import numpy_generator

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    table = artefacts.read_table(files.table, spec["similarity"])
    background = artefacts.read_table(files.background, spec["background"])["similarity"]
    found = copying.copies(table, background, **spec["copies"])
    if spec["compared"]:
        undefended = artefacts.read_table(files.undefended[0], spec["undefended"])
        found += copying.compared(undefended, table, background, **spec["compared"])
    split = subset.read_split(files.split)
    if spec["duplicated"]:
        members = split[split["pool"] == "members"]
        index, times = members["index"].to_numpy(), members["times"].to_numpy()
        found += copying.duplicated(table, background, index, times, **spec["duplicated"])
    drawn = artefacts.read_npz(files.features, spec["features"])["features"]
    audited = subset.audited(split)
    real = artefacts.read_npz(files.pools, spec["pools"])["real"][audited["index"]]
    member = (audited["pool"] == "members").to_numpy()
    rng = numpy_generator("permutation", *spec["names"])
    found += copying.permuted(drawn, real, member, rng, **spec["permuted"])
    measurements.write_cell(snakemake.output.cell, spec, found)
