"""Label the images of a network's pool: by cluster, one class for each, or by chance."""

import json

from leakboard import artefacts, subset
from leakboard.job import job
from leakboard.labels import relabeled

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    index = subset.rows_of_pool(subset.read_split(files.split), spec["data"])
    features = None
    if spec["features"]:
        features = artefacts.read_npz(files.features[0], spec["features"])["real"][index]
    table = relabeled(index, spec["by"], spec["classes"], features, spec["network"])
    artefacts.write_csv(snakemake.output.table, table)
