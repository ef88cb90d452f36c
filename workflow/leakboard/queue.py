"""The queue of a SLURM cluster: jobs that a killed run of this folder left there, and their end."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .errors import UserError

OURS = re.compile(r"leakboard_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # as the profile has it
LOGS = "results/logs/slurm"  # as the profile has it, too: a run here has used a cluster
PATIENCE = 120.0  # seconds for canceled jobs to write their checkpoints and end


def clear(folder: Path, killed: bool) -> None:
    """Cancel the jobs of earlier runs in `folder`, and wait until they have ended.

    Nothing happens where there is no SLURM. Raises UserError when a job does not end, or when the
    cluster does not answer, although a run that used it was `killed` here.
    """
    if not shutil.which("squeue"):
        return
    try:
        left = orphans(folder)
    except UserError:
        if killed and (folder / LOGS).exists():
            raise
        return
    if not left:
        return
    print(
        f"leakboard: an earlier run in {folder} left {len(left)} job(s) in the queue; they are"
        " canceled, and go on from their checkpoints",
        flush=True,
    )
    _ask("scancel", *left)
    end = time.monotonic() + PATIENCE
    while left := orphans(folder):
        if time.monotonic() > end:
            raise UserError(
                f"the jobs {', '.join(left)} of an earlier run in {folder} do not end; end them"
                " (`squeue` shows them), and run the same command again"
            )
        time.sleep(1)


def orphans(folder: Path) -> list[str]:
    """The ids of this user's jobs in the queue that a run in `folder` has submitted."""
    said = _ask("squeue", "--noheader", f"--user={os.getuid()}", "--format=%A|%j|%Z")
    rows = (line.split("|", 2) for line in said.splitlines())
    mine = os.environ.get("SLURM_JOB_ID")  # this run may be a job itself
    return [
        job
        for job, name, place in rows
        if OURS.fullmatch(name) and Path(place).resolve() == folder and job != mine
    ]


def _ask(*command: str) -> str:
    """What a program of SLURM prints. Raises UserError with its words when it fails."""
    done = _run(command)
    if done.returncode:
        raise UserError(
            f"`{command[0]}` failed: {done.stderr.strip() or done.stdout.strip()}; a run was killed"
            " here, and its jobs may still be at work: run the same command again when the cluster"
            " answers, or, when there are none, after `snakemake --unlock`"
        )
    return done.stdout


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer for 60 seconds")
