"""`leakboard run`: Snakemake, but one run per folder, no stale lock, and it ends with `make`."""

import argparse
import atexit
import ctypes
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import psutil

from . import queue
from .errors import UserError
from .job import SAVING, end_with, identity

ADOPT = 36  # PR_SET_CHILD_SUBREAPER: children whose parent ended become ours
BOARD = "LEAKBOARD_BOARD"
DRY = ("--dry-run", "--dryrun", "-n")
# glibc hands large blocks back to the system at once and gets them anew, page by page, at every
# layer of a network: a sixth of the time of drawing. The largest threshold it takes is 32 MiB.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(2**30)}


def main(args: Sequence[str], board: bool = False) -> NoReturn:
    """Become Snakemake, with `args` and every core (unless `args` say how many).

    `board`: run no job, and make the board of what there is.

    A live run in the same folder ends this one with a message and exit code 1. The lock of a
    killed run is removed. A dry run looks at neither.
    """
    known = _known(args)
    folder = Path(known.directory or ".").resolve()
    try:
        if not known.dry:
            check(folder)
    except UserError as error:
        print(f"leakboard: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    env = dict(os.environ)
    if make := _make():
        env["LEAKBOARD_PARENT"] = make
    if board:
        env[BOARD] = "1"
    cores = [] if known.parallel else ["--cores", "all"]
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "snakemake", *cores, *args], env)


def only_board() -> bool:
    """Whether this run is to make the board of what there is, and nothing else."""
    return os.environ.get(BOARD) == "1"


def guard() -> None:
    """At the top of the Snakefile: what jobs inherit from the workflow.

    They end with it, and it ends with `make`, whose name is forgotten here, so that nobody inherits
    it: a job watches its workflow. They keep the memory that they have freed for the next layer.
    The workflow in turn waits for those that are saving what they have.
    A job on another machine has a workflow of its own there, which shows nothing.
    """
    atexit.register(_wait)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    os.environ.pop("LEAKBOARD_DISPLAY", None)
    for name, value in KEEP_MEMORY.items():
        os.environ.setdefault(name, value)
    os.environ["LEAKBOARD_WORKFLOW_PID"] = identity(os.getpid())
    if parent := os.environ.pop("LEAKBOARD_PARENT", None):
        end_with(parent)


def _wait() -> None:
    """Wait for steps that outlive the shell they were started by; SAVING seconds at most.

    A bash before 5.1 stands between Snakemake and a step. When all are told to end, it ends first,
    and Snakemake with it; SLURM then kills whoever is left.
    """
    steps = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any(".snakemake/scripts/" in word for word in child.cmdline()):
                steps.append(child)
    psutil.wait_procs(steps, timeout=SAVING)


def check(folder: Path) -> None:
    """Make sure that no other run works in `folder`, then remove the lock of a killed one.

    The jobs that a killed run left in the queue of a cluster are canceled first: two would write
    the same files. Raises UserError when another run is at work, when the lock was made on another
    machine, where this one cannot look, or when a job does not end.
    """
    if (pid := live(folder)) is not None:
        raise UserError(
            f"a run is already at work in {folder} (process {pid}); wait for it, or end it with"
            f" `kill {pid}` and run the same command again; finished results are kept"
        )
    state, here = folder / ".snakemake", platform.node()
    owner, locks = state / "leakboard-host", state / "locks"
    stale = sorted(locks.glob("*.lock"))
    if stale and owner.exists() and (host := owner.read_text().strip()) != here:
        raise UserError(
            f"the lock in {locks} was made on {host}, and this is {here}; when no run is left"
            " there, run `snakemake --unlock` and the same command again"
        )
    queue.clear(folder, killed=bool(stale))
    for lock in stale:
        lock.unlink(missing_ok=True)
    if stale:
        print(f"leakboard: an earlier run in {folder} was killed; its lock is removed")
    state.mkdir(exist_ok=True)
    owner.write_text(f"{here}\n")


def live(folder: Path) -> int | None:
    """The process id of a Snakemake at work in `folder` (not a dry run, not above us), or None."""
    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = process.info["cmdline"] or []
        if (
            process.pid not in mine
            and _is_snakemake(command)
            and process.info["cwd"] == str(folder)
            and not (known := _known(command)).dry
            and known.mode is None
        ):
            return process.pid
    return None


def _is_snakemake(command: Sequence[str]) -> bool:
    names = [Path(word).name for word in command[:3]] + ["", "", ""]
    python = names[0].startswith("python")
    return names[0] == "snakemake" or (
        python and (names[1] == "snakemake" or names[1:3] == ["-m", "snakemake"])
    )


def _known(args: Sequence[str]) -> argparse.Namespace:
    """What must be known of Snakemake's arguments; everything else is Snakemake's to judge."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--directory", "-d")
    parser.add_argument(*DRY, action="store_true", dest="dry")
    # a profile or another executor says itself how much runs at the same time
    how_many = ("--cores", "-c", "--jobs", "-j", "--executor", "-e", "--profile")
    parser.add_argument(*how_many, "--workflow-profile", nargs="?", const="", dest="parallel")
    parser.add_argument("--mode")  # a job of a run says that it is one
    try:
        known = parser.parse_known_args(list(args))[0]
    except argparse.ArgumentError:  # short ones in a row, like -np; or Snakemake says what is wrong
        dry = any(word.startswith("-n") for word in args)
        known = argparse.Namespace(directory=None, dry=dry, parallel=None, mode=None)
    known.parallel = known.parallel is not None
    return known


def _make() -> str | None:
    """The identity of the `make` that runs this, if one does."""
    for process in psutil.Process().parents():
        if process.name() in ("make", "gmake"):
            return identity(process.pid)
    return None


def gpu() -> int:
    """1 where this machine has an NVIDIA GPU, else 0; asked without loading torch."""
    return int(Path("/dev/nvidia0").exists())
