"""Extract the features of all real images, of altered copies, and of mirrored ones where asked."""

import json

import numpy as np

from leakboard import artefacts, features
from leakboard.job import job

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    images = artefacts.read_npz(snakemake.input.images, spec["subset"])["images"]
    extract = features.Extract(spec["extractor"], snakemake.input.network)
    # each is made when it is written, so that one of them is in memory
    views = {"real": lambda: extract(images), "altered": lambda: extract(images, alter=True)}
    if spec["mirrored"]:
        views["mirrored"] = lambda: extract(np.ascontiguousarray(images[:, :, ::-1]))
    artefacts.write_npz(snakemake.output.features, spec, **views, **extract.classes(images))
