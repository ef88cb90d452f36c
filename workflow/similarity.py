"""Find the members nearest to each picture."""

import json

import numpy as np

from leakboard import artefacts, neighbors, subset
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    drawn = artefacts.read_npz(snakemake.input.features, spec["features"])["features"]
    real = artefacts.read_npz(snakemake.input.pools, spec["pools"])["real"]
    members = subset.rows_of_pool(subset.read_split(snakemake.input.split), "members")
    table = neighbors.table(
        drawn, np.arange(len(drawn)), real[members], members, spec["neighbors"], spec["measure"]
    )
    artefacts.write_table(snakemake.output.table, spec, table)
