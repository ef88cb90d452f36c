"""Make one row of each defense."""

import json

from leakboard import artefacts, measurements
from leakboard.costs import costs, trainings
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.measures import control, ranking

with job(snakemake.log[0]):
    spec = json.loads(snakemake.params.spec)
    rows = artefacts.read_table(snakemake.input.measurements, spec["gathered"])
    measurements.check(rows, spec["digests"])
    perf = [artefacts.read_json(f) for f in (*snakemake.input.trained, *snakemake.input.drawn)]
    spent = costs(perf, spec["trainings"])
    board = ranking.leaderboard(rows, spent, spec["defenses"], spec["headline"], spec["contenders"])
    artefacts.write_csv(snakemake.output.csv, board)
    artefacts.write_csv(snakemake.output.trainings, trainings(perf, spec["networks"]))
    write_bytes(snakemake.output.md, ranking.to_markdown(board, control.blind(rows)).encode())
