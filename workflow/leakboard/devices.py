"""One GPU for each process, on a machine with several: a lease, which ends with the process."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[int] = []  # file descriptors: the lock is gone when the last copy is closed


def lease(wait: float = 1.0) -> None:
    """Make one GPU, which no other job of this user has, the only one that CUDA will see.

    To be called before CUDA is. Waits, `wait` seconds at a time, while others have all of them.
    Inside a SLURM job, or where there is no choice (one GPU, or none), everything stays as it is;
    a choice that CUDA_VISIBLE_DEVICES makes is narrowed down to one.
    """
    choice = candidates(Path("/dev"))
    if _held or "SLURM_JOB_ID" in os.environ or len(choice) < 2:
        return
    folder = Path(tempfile.gettempdir()) / f"leakboard-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    while (got := _first_free(folder, choice)) is None:
        time.sleep(wait)
    os.environ[VISIBLE] = got


def candidates(dev: Path) -> list[str]:
    """The GPUs to choose from, by the names that CUDA knows them by."""
    if (given := os.environ.get(VISIBLE)) is not None:
        return [name for word in given.split(",") if (name := word.strip())]
    return [str(i) for i in range(sum(bool(_GPU.fullmatch(f.name)) for f in dev.glob("nvidia*")))]


_GPU = re.compile(r"nvidia\d+")


def _first_free(folder: Path, choice: Sequence[str]) -> str | None:
    for name in choice:
        file = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            _held.append(file)
            return name
    return None
