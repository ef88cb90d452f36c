"""Find how near held-out images come to members: what a stranger reaches."""

import json

from leakboard import artefacts, likeness, subset
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    pools = artefacts.read_npz(snakemake.input.pools, spec["features"])
    split = subset.read_split(snakemake.input.split)
    members = subset.rows_of_pool(split, "members")
    strangers = subset.rows_of_pool(split, "held-out")
    table = likeness.table(
        pools["real"][strangers],
        strangers,
        pools["real"][members],
        members,
        mirrored=pools["mirrored"][members] if "mirrored" in pools else None,
        **spec["search"],
    )
    artefacts.write_table(snakemake.output.table, spec, table)
