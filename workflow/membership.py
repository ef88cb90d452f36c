"""Tell how well an attack's scores separate members from strangers, for every defense."""

import json

from leakboard import artefacts, measurements
from leakboard.job import job
from leakboard.measures.audit import audit
from leakboard.measures.bootstrap import Resampler
from leakboard.randomness import derive

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    files = zip(snakemake.input.scores, spec["scores"], strict=True)
    tables = {digest: artefacts.read_table(file, digest) for file, digest in files}
    track = spec["cells"][0]["about"]["track"]
    resampler = Resampler(derive("bootstrap", track))  # the same images for all attacks
    audits = {}  # defenses with the same scores have the same numbers
    cells = []
    for cell in spec["cells"]:
        asked = dict(zip(cell["targets"], cell["scores"], strict=True))
        key = tuple(asked.items())
        if key not in audits:
            audits[key] = audit({name: tables[digest] for name, digest in key}, resampler)
        cells.append((cell, audits[key]))
    measurements.write_cells(snakemake.output.cell, cells)
