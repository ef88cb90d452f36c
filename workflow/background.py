"""Find how near held-out images come to members: what a stranger reaches."""

import json

from leakboard import artefacts, neighbors, subset
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    real = artefacts.read_npz(snakemake.input.pools, spec["features"])["real"]
    split = subset.read_split(snakemake.input.split)
    members = subset.rows_of_pool(split, "members")
    strangers = subset.rows_of_pool(split, "held-out")
    table = neighbors.table(
        real[strangers], strangers, real[members], members, spec["neighbors"], spec["measure"]
    )
    artefacts.write_table(snakemake.output.table, spec, table)
