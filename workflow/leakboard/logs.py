"""The log of a step: who wrote it and when, how it ended, and the pulse of a live one.

Its first and its last line begin with `# ` and a time (UTC). Beside `x.log` lie `x.log.1`,
`x.log.2`, ..., those of attempts that did not end well, as Snakemake removes `x.log` before it
tries again, and `x.log.progress` as long as the step is alive, touched every BEAT seconds.
"""

from __future__ import annotations

import glob
import logging
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

BEAT = 5.0  # seconds
KEPT = 9  # logs of earlier attempts
END = 4096  # bytes in which the last line is looked for
FORM = "%Y-%m-%dT%H:%M:%SZ"
OPENING = re.compile(r"# (\S+Z) attempt (\d+) on (\S+), process (\d+)(?:, (.*))?")
CLOSING = re.compile(
    r"# (\S+Z) (done|failed|stopped) (?:in|after) ([\d.]+) s(?:, after ([\d.]+) s before)?"
    r"(?:: (.*))?"
)


@dataclass
class Ending:
    """How a step ended; `why` in one line, seconds of this attempt and of those it went on from."""

    how: str = "done"  # done, failed or stopped
    why: str = ""
    seconds: float = 0.0
    earlier: float = 0.0
    at: float = 0.0  # seconds of time.time()


@dataclass(frozen=True)
class Opening:
    """Who writes a log: `at` in seconds of that machine's time.time(), `slurm` as it was said."""

    at: float
    attempt: int
    host: str
    process: int
    slurm: str


@contextmanager
def speaking_to(log: Path) -> Iterator[tuple[int, Ending]]:
    """Send stdout, stderr and logging to `log`; yields a descriptor of the real stderr.

    And what will be said of how the step ended: the caller says so when it did not end well.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    progress = Path(f"{log}.progress")
    start = time.monotonic() - (time.time() - psutil.Process().create_time())  # with all imports
    log.unlink(missing_ok=True)  # it may be kept under another name
    progress.unlink(missing_ok=True)
    file = open(log, "w+", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    kept, ending = _keep(log), Ending()
    with suppress(OSError):
        file.write(_opening(kept))
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, streams = logging.getLogger(), (sys.stdout, sys.stderr)
    level, real = root.level, [os.dup(1), os.dup(2)]
    for stream in streams:
        stream.flush()
    stop = _beating(progress)
    try:
        for descriptor in (1, 2):  # libraries in C write there
            os.dup2(file.fileno(), descriptor)
        sys.stdout = sys.stderr = file
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        yield real[1], ending
    except BaseException as error:
        if ending.how == "done" and not (isinstance(error, SystemExit) and not error.code):
            ending.how, ending.why = "failed", f"{type(error).__name__} {error}"
        raise
    finally:
        stop()
        root.removeHandler(handler)
        root.setLevel(level)
        sys.stdout, sys.stderr = streams
        for descriptor, kept_open in zip((1, 2), real, strict=True):
            os.dup2(kept_open, descriptor)
            os.close(kept_open)
        ending.seconds = time.monotonic() - start
        with suppress(OSError):
            file.flush()
            size = os.fstat(file.fileno()).st_size
            broken = size and os.pread(file.fileno(), 1, size - 1) != b"\n"
            file.write(("\n" if broken else "") + _closing(ending))
        with suppress(OSError):
            progress.unlink(missing_ok=True)
            if ending.how == "done":
                kept.unlink(missing_ok=True)
            file.close()


def said(log: Path) -> str:
    """What a step said, between the first and the last line of its log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    marks = (OPENING, CLOSING)
    return "\n".join(x for x in lines if not any(mark.fullmatch(x) for mark in marks)).strip()


def opening(log: Path) -> Opening | None:
    """Who writes or wrote a log, by its first line; None where it has none."""
    with suppress(OSError), log.open(encoding="utf-8", errors="replace") as file:
        if found := OPENING.fullmatch(file.readline().rstrip("\n")):
            at, attempt, host, process, slurm = found.groups()
            return Opening(_seconds(at), int(attempt), host, int(process), slurm or "")
    return None


def ending(log: Path) -> Ending | None:
    """How the step that wrote a log ended, by its last line; None where it has none."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - END))
        lines = file.read().decode(errors="replace").splitlines() or [""]
        if found := CLOSING.fullmatch(lines[-1]):
            at, how, seconds, earlier, why = found.groups()
            return Ending(how, why or "", float(seconds), float(earlier or 0), _seconds(at))
    return None


def _opening(kept: Path) -> str:
    job, restart = (os.environ.get(f"SLURM_{name}") for name in ("JOB_ID", "RESTART_COUNT"))
    slurm = f", SLURM job {job}" if job else ""
    slurm += f", restart {restart}" if job and restart else ""
    who = f"on {platform.node()}, process {os.getpid()}{slurm}"
    return f"# {_now()} attempt {kept.suffix[1:]} {who}\n"


def _closing(end: Ending) -> str:
    word = "in" if end.how == "done" else "after"
    before = f", after {end.earlier:.1f} s before" if end.earlier else ""
    why = f": {' '.join(end.why.split())[: END // 5]}" if end.why else ""
    return f"# {_now()} {end.how} {word} {end.seconds:.1f} s{before}{why}\n"


def _now() -> str:
    return datetime.now(UTC).strftime(FORM)


def _seconds(text: str) -> float:
    try:
        return datetime.strptime(text, FORM).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _keep(log: Path) -> Path:
    """A second name for a log, which is left when the first is removed: its attempt's number."""
    some = (file.suffix[1:] for file in log.parent.glob(f"{glob.escape(log.name)}.*"))
    numbers = sorted(int(suffix) for suffix in some if suffix.isdigit())
    for number in numbers[:-KEPT]:
        Path(f"{log}.{number}").unlink(missing_ok=True)
    kept = Path(f"{log}.{numbers[-1] + 1 if numbers else 1}")
    with suppress(OSError):  # not every file system has hard links
        os.link(log, kept)
    return kept


def _beating(progress: Path) -> Callable[[], None]:
    """Touch a file from now on, until what comes back is called."""
    over = threading.Event()

    def beat() -> None:
        while True:
            with suppress(OSError):
                progress.touch()
            if over.wait(BEAT):
                return

    thread = threading.Thread(target=beat, daemon=True, name="pulse")
    thread.start()

    def stop() -> None:
        over.set()
        thread.join(1.0)  # else it might make the file anew

    return stop
