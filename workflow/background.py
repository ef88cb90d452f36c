"""Find how near held-out images come to members: what a stranger reaches."""

import json

from leakboard import artefacts, likeness, subset
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    split = subset.read_split(snakemake.input.split)
    members = subset.rows_of_pool(split, "members")
    strangers = subset.rows_of_pool(split, "held-out")
    away, real, mirrored = (
        artefacts.read_rows(snakemake.input.pools, spec["features"], name, rows)
        for name, rows in (("real", strangers), ("real", members), ("mirrored", members))
    )
    table = likeness.table(
        away,
        strangers,
        real,
        members,
        mirrored=mirrored,
        **spec["search"],
    )
    artefacts.write_table(snakemake.output.table, spec, table)
