"""`leakboard status` beside real runs: failing, told to stop, killed, and ending well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from test_kill_and_resume import TRACK, started

from leakboard import logs

if TYPE_CHECKING:
    from conftest import Folder

COMMAND = [sys.executable, "-c", "from leakboard.cli import main; main()"]
RUN = [*COMMAND, "run", "--keep-going", "--cores", "2"]
TRAINING = "train random-labels (tiny, seed 0)"
BROKEN = """


def _broken(*args: object) -> None:
    from leakboard.errors import UserError

    raise UserError("no noise left")


Attack.score = _broken
"""


def status(board: Folder) -> tuple[int, dict[str, Any]]:
    """Exit code and content of `leakboard status --json`."""
    command = [*COMMAND, "status", "--json"]
    done = subprocess.run(command, cwd=board.path, env=board.env, stdout=subprocess.PIPE, text=True)
    return done.returncode, json.loads(done.stdout)


def until(board: Folder, true: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
    """What is told as soon as `true` of it, by title of each job that is not done."""
    end = time.monotonic() + seconds
    while True:
        jobs = {job["title"]: job for job in status(board)[1]["jobs"]}
        if true(jobs):
            return jobs
        assert time.monotonic() < end, (jobs, (board.path / "out.txt").read_text())
        time.sleep(0.5)


def trains(jobs: dict[str, Any]) -> bool:
    """Whether the long training is some steps on its way."""
    job = jobs.get(TRAINING)
    return bool(job) and job["state"] == "running" and (job["step"] or 0) > 20


def process(board: Folder) -> psutil.Process:
    """The step of the long training."""
    log = board.results / "logs/train/tiny/random-labels/seed0.log"
    who = logs.opening(log)
    assert who is not None
    return psutil.Process(who.process)


def test_status_follows_a_run_that_fails_is_stopped_is_killed_and_ends_well(board: Folder) -> None:
    workflow = board.path / "workflow"
    attack = workflow / "leakboard/attacks/pia.py"
    source = attack.read_text(encoding="utf-8")
    board.append("workflow/leakboard/attacks/pia.py", BROKEN)
    board.set(TRACK, "networks.random-labels.training.steps", 100_000)
    with started(RUN, board.path, workflow) as run:
        told = until(board, lambda jobs: trains(jobs) and "failed" in states(jobs), 900)
        code, content = status(board)
        assert code == 1
        assert content["stages"]["train"]["running"] == 1
        assert content["stages"]["attack"]["failed"] >= 1
        assert content["stages"]["page"]["waiting"] == 1
        assert content["seconds_left"] > 60
        (failed, *_) = (job for job in told.values() if job["state"] == "failed")
        assert failed["title"].startswith("attack pia")
        assert failed["why"] == "no noise left"
        # Told to stop, as by a scheduler that needs the machine.
        step, begun = process(board), time.monotonic()
        step.send_signal(signal.SIGTERM)
        psutil.wait_procs([step], timeout=15)
        assert not step.is_running()
        assert time.monotonic() - begun < 10
        assert list((board.board / "checkpoints/random-labels/seed0").glob("[!.]*.safetensors"))
        assert run.wait(900) == 1
    stopped = until(board, lambda jobs: TRAINING in jobs, 5)[TRAINING]
    assert stopped["state"] == "waiting"
    assert stopped["why"].startswith("stopped by SIGTERM at step ")
    reached = int(stopped["why"].split("step ")[1].split(" ")[0].replace(",", ""))
    # It goes on from there, and is killed with its workflow.
    with started(RUN, board.path, workflow) as run:
        again = until(board, trains, 600)[TRAINING]
        assert again["step"] > reached
        assert again["attempt"] == 2
        os.killpg(run.pid, signal.SIGKILL)
    lost = until(board, lambda jobs: jobs[TRAINING]["state"] == "lost", 40)[TRAINING]
    assert "no sign of life" in lost["why"]
    kept = board.results / "logs/train/tiny/random-labels"
    assert {file.name for file in kept.glob("*.log*")} >= {"seed0.log.1", "seed0.log.2"}
    # Repaired, it ends well.
    attack.write_text(source, encoding="utf-8")
    board.set(TRACK, "networks.random-labels.training.steps", 6)
    done = subprocess.run(RUN, cwd=board.path, env=board.env, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
    code, content = status(board)
    assert code == 0
    assert content["jobs"] == []
    assert content["stages"]["page"] == {**dict.fromkeys(content["stages"]["page"], 0), "done": 1}


def states(jobs: dict[str, Any]) -> set[str]:
    """The states of all jobs that are not done."""
    return {job["state"] for job in jobs.values()}


def test_a_dry_run_plans_nothing(board: Folder) -> None:
    plan = board.results / "logs/jobs.json"
    before = plan.read_bytes()
    board.set(TRACK, "sampling.steps", 4)
    assert board.jobs()
    assert plan.read_bytes() == before
    told = json.loads(before)
    outputs = {output for job in told["jobs"] for output in job["outputs"]}
    made = {str(Path(name)) for name in board.contents()}
    assert not outputs - made
    beside = (".gitkeep", "incomplete", "tiny/checkpoints", "tiny/records/page.json")
    assert {name for name in made - outputs if not name.startswith(beside)} == set()
