"""Count what extraction attacks draw of the members, for every defense."""

import json

from leakboard import artefacts, extraction, measurements, plugins
from leakboard.digests import canonical
from leakboard.job import job

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    tables = {
        digest: artefacts.read_table(file, digest)
        for file, digest in zip(files.tables, spec["tables"], strict=True)
    }
    background = artefacts.read_table(files.background[0], spec["background"])
    background = background["similarity"].to_numpy()
    drawn = extraction.pictures(files.samples, spec["samples"])
    done, cells = {}, []
    for cell in spec["cells"]:  # defenses that are drawn from alike have the same numbers
        key = canonical({**cell, "about": None})
        if key not in done:
            attack = plugins.load("attacks", **cell["method"]) if cell["method"] else None
            done[key] = extraction.measured(cell, tables, background, attack, drawn)
        cells.append((cell, done[key]))
    measurements.write_cells(snakemake.output.cell, cells)
