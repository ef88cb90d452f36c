"""Write the page: one file, no request to any host."""

import json
from pathlib import Path

import pandas as pd

from leakboard import artefacts
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.report.page import Board, render

with job(snakemake.log[0]):
    boards = []
    for i, (track, spec) in enumerate(json.loads(snakemake.params.spec).items()):
        folder = Path(snakemake.input.tables[i]).parent
        pictures = [Path(f) for f in snakemake.input.figures if folder in Path(f).parents]
        boards.append(
            Board(
                track,
                spec["about"],
                pd.read_csv(snakemake.input.tables[i]),
                artefacts.read_table(snakemake.input.measurements[i]),
                pd.read_csv(snakemake.input.trainings[i]),
                {file.stem: file.read_bytes() for file in pictures},
                spec["contenders"],
            )
        )
    write_bytes(snakemake.output.html, render(boards).encode())
