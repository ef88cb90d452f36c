"""Find the members nearest to each picture."""

import json

import numpy as np

from leakboard import artefacts, likeness, subset
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    drawn = artefacts.read_npz(snakemake.input.features, spec["features"])["features"]
    pools = artefacts.read_npz(snakemake.input.pools, spec["pools"])
    members = subset.rows_of_pool(subset.read_split(snakemake.input.split), "members")
    table = likeness.table(
        drawn,
        np.arange(len(drawn)),
        pools["real"][members],
        members,
        mirrored=pools["mirrored"][members] if "mirrored" in pools else None,
        **spec["search"],
    )
    artefacts.write_table(snakemake.output.table, spec, table)
