"""Tell how well an attack's scores separate members from strangers, for every defense."""

import json

from leakboard import artefacts, measurements
from leakboard.job import job
from leakboard.measures.audit import audit
from leakboard.randomness import numpy_generator

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    files = zip(snakemake.input.scores, spec["scores"], strict=True)
    tables = {digest: artefacts.read_table(file, digest) for file, digest in files}
    audits = {}  # defenses with the same scores have the same numbers
    cells = []
    for cell in spec["cells"]:
        asked = dict(zip(cell["targets"], cell["scores"], strict=True))
        key = tuple(asked.items())
        if key not in audits:
            rng = numpy_generator("bootstrap", *asked.values())
            audits[key] = audit({name: tables[digest] for name, digest in key}, rng)
        cells.append((cell, audits[key]))
    measurements.write_cells(snakemake.output.cell, cells)
