"""Find the near-duplicates in a network's pool, and keep one image of each group."""

import json

from leakboard import artefacts, duplicates, subset
from leakboard.job import job
from leakboard.measures.similarity import distance_at

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    table = duplicates.deduplicated(
        subset.read_split(files.split),
        spec["data"],
        artefacts.read_npz(files.features[0], spec["features"])["real"],
        distance_at(spec["similarity"], spec["measure"]),
        taught=spec["taught"],
        where=f"networks.{spec['network']}.dedup.similarity: {spec['similarity']:g}",
    )
    artefacts.write_csv(snakemake.output.table, table)
