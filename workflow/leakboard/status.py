"""`leakboard status`: what is done, runs, failed or waits, and how long it will take; from files.

No Snakemake and no SLURM is asked, so it works on any machine that sees the results folder, while a
run is going on and after it was killed. Which jobs there are, and which of them it has to do, was
written down by the last `leakboard run`; what the config says by now is not known here.
"""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from leakboard import logs, progress
from leakboard.errors import UserError
from leakboard.files import write_bytes

PLANNED = "logs/jobs.json"
STATES = ("done", "running", "failed", "lost", "waiting")
LOST = 180.0  # seconds without a beat; a file on another machine may look a minute older than it is
SAMPLE = 20  # finished jobs of a stage whose logs say how long it takes


@dataclass
class State:
    """A job that is not done, or has just been; times in seconds, None where nobody knows."""

    stage: str
    title: str
    log: str
    state: str = "waiting"  # one of STATES
    why: str = ""
    host: str = ""
    slurm: str = ""
    attempt: int = 0
    elapsed: float | None = None
    silent: float | None = None  # since its last beat
    step: int | None = None
    steps: int | None = None
    pace: float | None = None  # seconds a step
    left: float | None = None


def plan(jobs: Iterable[Mapping[str, Any]], stages: Sequence[str], results: str) -> None:
    """Write down which jobs there are: each has a rule, a title, a log and outputs, by name.

    Those that are `undone` are to be made, also where there are files already. `stages` are the
    rules in running order. A disk that is full ends no run here.
    """
    listed = [
        {
            "stage": each["rule"],
            "title": each["title"],
            "log": os.path.relpath(each["log"], results),
            "undone": each["undone"],
            "outputs": [os.path.relpath(path, results) for path in each["outputs"].values()],
        }
        for each in jobs
    ]
    about = {"at": time.time(), "host": platform.node(), "stages": list(stages), "jobs": listed}
    with suppress(OSError):
        write_bytes(Path(results) / PLANNED, json.dumps(about).encode())


def main(results: Path, as_json: bool) -> int:
    """Print the state of the board in `results`; return the exit code.

    That is 0 when all is done, 3 when not yet, 1 when a job failed. Raises UserError where no run
    has said which jobs there are.
    """
    planned = _planned(results)
    states = survey(results, planned["jobs"])
    left, counts = remaining(results, states), count(planned["stages"], states)
    if as_json:
        about = {key: planned[key] for key in ("at", "host")}
        open_ = [asdict(e) for e in states if e.state != "done" and (e.state != "waiting" or e.why)]
        print(
            json.dumps({**about, "stages": counts, "jobs": open_, "seconds_left": left}, indent=1)
        )
    else:
        print("\n".join(told(results, planned, states, counts, left)))
    if any(each.state == "failed" for each in states):
        return 1
    return 0 if all(each.state == "done" for each in states) else 3


def survey(results: Path, jobs: Sequence[Mapping[str, Any]]) -> list[State]:
    """The state of every job, in the order in which they were written down."""
    now, since = clock(results / "logs"), _time(results / PLANNED) - 2.0  # clocks are not exact
    there = {
        os.path.relpath(os.path.join(folder, name), results)
        for folder, _, names in os.walk(results / "logs")
        for name in names
    }
    outputs = [str(results / path) for job in jobs for path in job["outputs"]]
    with ThreadPoolExecutor(16) as pool:  # a network's file system takes its time for each
        made = dict(zip(outputs, pool.map(_time, outputs, chunksize=64), strict=True))
    found = []
    for job in jobs:
        this = State(job["stage"], job["title"], str(results / job["log"]))
        oldest = min(made[str(results / path)] for path in job["outputs"])
        live = f"{job['log']}.progress" in there and _live(this, now, since)
        if not live and oldest > (since if job["undone"] else 0.0):
            this.state = "done"
        elif not live and job["log"] in there and _time(this.log) > since:
            _ended(this)
        found.append(this)
    return found


def _time(path: str | Path) -> float:
    """When a file was written; 0 where there is none."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def clock(folder: Path) -> float:
    """What time it is for the file system, whose clock stamps the beats of all machines."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # only to be read
        return time.time()


def count(stages: Sequence[str], states: Iterable[State]) -> dict[str, dict[str, int]]:
    """How many jobs of each stage are in each state, in running order; stages without jobs out."""
    found = {stage: dict.fromkeys(STATES, 0) for stage in stages}
    for each in states:
        found.setdefault(each.stage, dict.fromkeys(STATES, 0))[each.state] += 1
    return {stage: counts for stage, counts in found.items() if any(counts.values())}


def remaining(results: Path, states: Sequence[State]) -> float | None:
    """Seconds until all is done, with as many jobs at a time as run now; None before the first."""
    took: dict[str, list[float]] = defaultdict(list)
    asked: dict[str, int] = defaultdict(int)
    for each in states:
        if each.state == "done" and asked[each.stage] < SAMPLE:
            asked[each.stage] += 1
            if end := logs.ending(Path(each.log)):
                took[each.stage].append(end.seconds + end.earlier)
    counts: dict[str, int] = defaultdict(int, {stage: len(some) for stage, some in took.items()})
    for each in states:
        counts[each.stage] += each.state != "done"
    known = progress.Progress(counts, now=-math.inf)  # nothing is said about parallel jobs before
    for stage, some in took.items():
        for i, seconds in enumerate(some):
            known.started((stage, i), stage, -seconds)
            known.finished((stage, i), 0.0)
    for each in states:
        if each.state == "running":
            known.started(each.log, each.stage, -(each.elapsed or 0.0))
            if (seen := progress.look(each.log)) and seen[0] > seen[2]:
                known.stepped(each.log, seen[2], seen[1], -seen[3])
                known.stepped(each.log, seen[0], seen[1], 0.0)
    return known.eta(0.0)


def told(
    results: Path,
    planned: Mapping[str, Any],
    states: Sequence[State],
    counts: Mapping[str, Mapping[str, int]],
    left: float | None,
) -> list[str]:
    """The lines that a person reads."""
    at = datetime.fromtimestamp(planned["at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"{results}: as of the last `leakboard run` ({at}, on {planned['host']})", ""]
    wide = max([len(stage) for stage in counts] + [5])
    lines.append(f"{'stage':{wide}}" + "".join(f"{state:>9}" for state in STATES))
    total = {state: sum(each[state] for each in counts.values()) for state in STATES}
    for stage, each in [*counts.items(), ("all", total)]:
        numbers = "".join(f"{each[state] or '.':>9}" for state in STATES)
        lines.append(f"{stage:{wide}}{numbers}")
    groups = {state: [e for e in states if e.state == state] for state in STATES[1:4]}
    groups["stopped, and will go on"] = [e for e in states if e.state == "waiting" and e.why]
    for name, some in groups.items():
        lines += ["", f"{name}:"] if some else []
        lines += [line for each in some for line in _line(each)]
    done, jobs = total["done"], len(states)
    end = f"{done} of {jobs} jobs done ({100 * done // max(1, jobs)} %)"
    if done < jobs and left is not None:
        end += f", about {progress.clock(left)} left"
        end += "" if total["running"] else " with one job at a time"
    elif done < jobs and not total["running"]:
        end += ", none runs"
    return [*lines, "", end]


def _planned(results: Path) -> dict[str, Any]:
    try:
        return json.loads((results / PLANNED).read_bytes())
    except (OSError, ValueError):
        raise UserError(
            f"{results}: no run has said here which jobs there are ({PLANNED}); name the results"
            " folder, or start a run with `leakboard run`"
        ) from None


def _live(this: State, now: float, since: float) -> bool:
    """Whether a job runs, or nobody knows what became of it; fills in what is known of it."""
    beat = _time(f"{this.log}.progress")
    if beat <= since:  # it has ended just now, or the last run knows of its end and does it again
        return False
    silent = now - beat
    if who := logs.opening(Path(this.log)):
        this.host, this.slurm, this.attempt = who.host, who.slurm, who.attempt
        this.elapsed = max(0.0, now - who.at)
        gone = who.host == platform.node() and not psutil.pid_exists(who.process)
    else:
        gone = False
    this.silent = max(0.0, silent)
    if silent > LOST or (gone and silent > 3 * logs.BEAT):
        this.state = "lost"
        this.why = f"no sign of life for {progress.clock(silent)}"
    else:
        this.state = "running"
    if seen := progress.look(this.log):
        this.step, this.steps = seen[:2]
        if seen[0] > seen[2]:
            this.pace = seen[3] / (seen[0] - seen[2])
            this.left = this.pace * (seen[1] - seen[0])
    return True


def _ended(this: State) -> None:
    """What a log says of a job whose outputs are not there."""
    who, end = logs.opening(Path(this.log)), logs.ending(Path(this.log))
    if who:
        this.host, this.slurm, this.attempt = who.host, who.slurm, who.attempt
    if end is None and who:
        this.state, this.why = "lost", "its log breaks off"
    elif end is None:
        this.state, this.why = "failed", "it could not start; see what Snakemake said"
    elif end.how == "failed":
        this.state, this.why = "failed", end.why
    elif end.how == "stopped":
        this.why = end.why


def _line(this: State) -> list[str]:
    """A job and what is known of it; where there is something to read, its log below."""
    parts = [f"  {this.title}"]
    if this.state == "running":
        parts += [this.host + (f" ({this.slurm})" if this.slurm else "")]
        parts += [f"step {this.step:,}/{this.steps:,}"] if this.step is not None else []
        parts += [progress.clock(this.elapsed)] if this.elapsed is not None else []
        if this.pace:
            quick = this.pace < 1
            parts += [f"{1 / this.pace:.1f} steps/s" if quick else f"{this.pace:.1f} s a step"]
        parts += [f"about {progress.clock(this.left)} left"] if this.left is not None else []
        parts += [f"attempt {this.attempt}"] if this.attempt > 1 else []
        return ["  ".join(part for part in parts if part)]
    where = f" (on {this.host})" if this.host else ""
    return [f"{parts[0]}: {this.why}{where}", f"    log: {this.log}"]
