"""What every step of the workflow runs inside: its log, its clock, its guard, its last words."""

import atexit
import errno
import gc
import json
import os
import re
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from . import STEP
from .errors import UserError
from .files import write_bytes
from .logs import speaking_to
from .signals import Terminated, asked, finish, listening

FULL = re.compile(  # how libraries that drop the errno say it: Rust, NumPy, PyTorch
    r"No space left on device|quota exceeded|File too large|requested and \d+ written"
    r"|PytorchStreamWriter failed writing"
)
MEMORY = re.compile(r"can't allocate memory|out of memory", re.IGNORECASE)
RETRY = "run the same command again; finished results are kept"
SAVING = 10.0  # seconds in which a step that was told to end has saved what it has


@dataclass
class Job:
    """The running job, for what only the step itself can know."""

    earlier_seconds: float = 0.0  # spent by interrupted attempts that this one goes on from
    more: dict[str, Any] = field(default_factory=dict)  # further entries of the perf record
    afterwards: list[Callable[[], object]] = field(default_factory=list)  # once all is written


@contextmanager
def job(
    log: str | Path, perf: str | Path | None = None, about: dict[str, Any] | None = None
) -> Iterator[Job]:
    """Run a step: all it says goes to `log`; `perf` receives what it cost, when it succeeds.

    A failure leaves one message, in the log and on the real stderr (not there when the
    workflow's display will show it), and exit code 1; the traceback of a defect is in the log.
    SIGTERM raises Terminated in the step, which may save what it has; exit code 143. The step ends
    with the workflow that LEAKBOARD_WORKFLOW_PID names. Where it has a process to itself, that is
    over when the step is.
    """
    if STEP:
        gc.freeze()
        gc.enable()
    log, this = Path(log), Job()
    with speaking_to(log) as (terminal, ending):
        if workflow := os.environ.get("LEAKBOARD_WORKFLOW_PID"):
            end_with(workflow)
        wall, cpu = time.monotonic(), sum(os.times()[:4])
        try:
            with listening():
                yield this
                finish()
                if perf is not None:
                    seconds = time.monotonic() - wall + this.earlier_seconds
                    cost = {**_cost(seconds, sum(os.times()[:4]) - cpu), **this.more}
                    text = json.dumps({**(about or {}), **cost}, indent=2, sort_keys=True)
                    write_bytes(perf, f"{text}\n".encode())
                ending.earlier = this.earlier_seconds
                for each in this.afterwards:
                    each()
        except KeyboardInterrupt:
            if not workflow:
                raise
            ending.how, ending.why = "stopped", "interrupted"
            with suppress(OSError):
                print("leakboard: interrupted", file=sys.stderr)
            raise SystemExit(130) from None  # the workflow speaks for all its steps
        except Terminated as stop:
            ending.how, ending.why = "stopped", f"stopped by SIGTERM {stop}".strip()
            _say(f"{ending.why}; run the same command again to go on", terminal)
            raise SystemExit(128 + signal.SIGTERM) from None
        except Exception as error:
            message = explain(error)
            if message is None:
                with suppress(OSError):
                    traceback.print_exc()
                message = f"{type(error).__name__}: {error} (the traceback is in {log})"
            ending.how, ending.why = "failed", message
            _say(message, terminal)
            raise SystemExit(1) from None
    if STEP:
        _leave()


def _leave() -> None:
    """End this process; to take apart all that was imported would take up to 0.7 seconds more."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(0)


def _say(message: str, terminal: int) -> None:
    """Last words: to the log, and to the terminal, unless the workflow's display repeats them."""
    with suppress(OSError):
        print(f"leakboard: {message}", file=sys.stderr)
    if "LEAKBOARD_DISPLAY" not in os.environ:
        with suppress(OSError):
            os.write(terminal, f"leakboard: {message}\n".encode())


def explain(error: BaseException) -> str | None:
    """What happened and what to do, for a failure that is no defect of the program; else None."""
    if isinstance(error, UserError):
        return str(error)
    for e in _chain(error):
        name, first = type(e).__name__, f"{e}\n".splitlines()[0]
        code = e.errno if isinstance(e, OSError) else None
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or FULL.search(first):
            file = e.filename if isinstance(e, OSError) and e.filename else "a file of this step"
            return f"the disk (or quota) is full while writing {file}; free space and {RETRY}"
        if isinstance(e, MemoryError) or name == "OutOfMemoryError" or MEMORY.search(first):
            return (
                f"not enough memory ({name}: {first}); make the batch smaller, or run fewer jobs"
                f" at the same time (--cores), and {RETRY}"
            )
    return None


def identity(pid: int) -> str:
    """`PID:CREATE_TIME`, which no later process with the same pid shares.

    The time is in seconds since the machine started, so that setting the clock changes nothing.
    """
    return f"{pid}:{psutil.Process(pid).create_time() - psutil.boot_time():.2f}"


def end_with(process: str) -> None:
    """End this process at once, half a second at most after `process` (an identity) has ended.

    A killed workflow thus leaves nobody behind who goes on writing. Exit code 1. A step that was
    told to end before may finish its saving: SLURM tells the workflow and the step together.
    """
    pid, created = process.split(":")

    def alive() -> bool:
        try:
            now = psutil.Process(int(pid))
            since = now.create_time() - psutil.boot_time()
            return abs(since - float(created)) < 2 and now.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def watch() -> None:
        while alive():
            time.sleep(0.5)
        if asked():
            time.sleep(SAVING)
        with suppress(OSError):
            os.write(2, f"leakboard: process {pid}, which this one works for, ended\n".encode())
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end_with").start()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _cost(seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """What this process used; `torch` is asked only when the step has loaded it."""
    torch = sys.modules.get("torch")
    gpu = torch is not None and torch.cuda.is_initialized()
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "peak_memory_mb": round(_peak_kib() / 1024, 1),
        "device": torch.cuda.get_device_name() if torch and gpu else "cpu",
        "gpu_peak_memory_mb": (
            round(torch.cuda.max_memory_allocated() / 2**20, 1) if torch and gpu else 0.0
        ),
        "threads": (
            torch.get_num_threads() if torch else int(os.environ.get("OMP_NUM_THREADS", 1))
        ),
    }


def _peak_kib() -> int:
    """Peak resident memory in KiB.

    Linux hands ru_maxrss down to child processes, so a small step would report its parent's.
    """
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        if found:
            return int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
