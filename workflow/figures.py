"""Draw what a person would look at."""

import json

import pandas as pd

from leakboard import artefacts
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.report.pictures import pictures

with job(snakemake.log[0]):
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    read, names = artefacts.read_table, spec["defenses"]
    made = pictures(
        drawn={
            n: artefacts.read_npz(f)["images"] for n, f in zip(names, files.samples, strict=True)
        },
        tables={n: read(f) for n, f in zip(names, files.tables, strict=True)},
        images=artefacts.read_npz(files.images)["images"],
        background=read(files.background[0])["similarity"].to_numpy(),
        scores=[(*n, read(f)) for n, f in zip(spec["scores"], files.scores, strict=True)],
        losses={n: pd.read_csv(f) for n, f in zip(spec["curves"], files.curves, strict=True)},
        extracted=pd.DataFrame([row for f in files.extraction for row in artefacts.read_json(f)]),
        grids=spec["grids"],
        extractor=spec["extractor"],
        calibration=spec["calibration"],
    )
    for name, png in made.items():
        write_bytes(snakemake.output[name], png)
