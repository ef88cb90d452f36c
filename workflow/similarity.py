"""Find the members nearest to each picture."""

import json

import numpy as np

from leakboard import artefacts, likeness, subset
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    drawn = artefacts.read_npz(snakemake.input.features, spec["features"])["features"]
    members = subset.rows_of_pool(subset.read_split(snakemake.input.split), "members")
    real, mirrored = (
        artefacts.read_rows(snakemake.input.pools, spec["pools"], name, members)
        for name in ("real", "mirrored")
    )
    table = likeness.table(
        drawn,
        np.arange(len(drawn)),
        real,
        members,
        mirrored=mirrored,
        **spec["search"],
    )
    artefacts.write_table(snakemake.output.table, spec, table)
