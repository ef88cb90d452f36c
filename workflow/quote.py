"""Keep what papers report beside the results, once it is known to be well typed."""

from pathlib import Path

from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.reported import read

with job(snakemake.log[0]):
    read(snakemake.input.reported)
    write_bytes(snakemake.output.papers, Path(snakemake.input.reported).read_bytes())
