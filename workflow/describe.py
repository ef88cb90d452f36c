"""Judge the judge: does the extractor know copies from strangers?"""

import json

from leakboard import artefacts, measurements, subset
from leakboard.job import job
from leakboard.measures import copying

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    pools = artefacts.read_npz(snakemake.input.pools, spec["pools"])
    rows = subset.rows_of_pool(subset.read_split(snakemake.input.split), "held-out")
    background = artefacts.read_table(snakemake.input.background, spec["background"])
    found = copying.described(
        pools["real"][rows], pools["altered"][rows], background, **spec["how"]
    )
    measurements.write_cell(snakemake.output.cell, spec, found)
