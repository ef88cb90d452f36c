"""Extract the features of all real images, and of altered copies of them."""

import json

from leakboard import artefacts, features
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    images = artefacts.read_npz(snakemake.input.images, spec["subset"])["images"]
    extract = features.Extract(spec["extractor"], snakemake.input.network)
    artefacts.write_npz(
        snakemake.output.features,
        spec,
        real=extract(images),
        altered=extract(images, alter=True),
        **extract.classes(images),
    )
