"""What can go wrong with a training on a cluster. Each time the board comes out as if nothing had.

Only the training is a job of the cluster here; the rest runs beside Snakemake, to save time.
"""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cluster import Cluster

    from conftest import Folder

pytestmark = pytest.mark.slurm
STEPS = 60
TABLES = ("leaderboard.csv", "measurements.csv", "comparisons.csv", "controls.csv")


@pytest.fixture
def folder(cluster: Cluster, tmp_path: Path) -> Folder:
    """A clone with the small configuration, in which only `train` goes to the cluster."""
    from conftest import SMALL, Folder

    made = Folder(tmp_path / "small", SMALL / "config", cluster)
    rules = ["subset", "embed_pools", "embed", "sample", "attack", "background", "similarity"]
    rules += ["describe", "copying", "quality", "membership", "compare"]
    snakefile = made.path / "Snakefile"
    snakefile.write_text(snakefile.read_text() + f"\n\nlocalrules: {', '.join(rules)}\n")
    return made


def until(true, seconds: float) -> bool:
    from conftest import until

    return until(true, seconds)


def hit(folder: Folder, run: subprocess.Popen[bytes]) -> dict[str, str]:
    """Wait until the training is under way and has a checkpoint; its job comes back."""

    def begun() -> bool:
        return run.poll() is not None or (folder.steps() > 8 and folder.checkpoint())

    assert until(begun, 240), folder.said()
    assert run.poll() is None, folder.said()
    assert folder.steps() < STEPS
    return training(folder)


def training(folder: Folder) -> dict[str, str]:
    """The training's job in the queue."""
    assert folder.cluster is not None
    jobs = [job for job in folder.cluster.queue() if "rule_train" in job["comment"]]
    mine = [job for job in jobs if folder.has(job["id"])]
    assert len(mine) == 1, (jobs, folder.said())
    return mine[0]


def ends_well(folder: Folder, run: subprocess.Popen[bytes], small: Folder) -> None:
    """The run ends, its board is that of the undisturbed run, and nothing was trained twice."""
    from conftest import same

    assert run.wait(420) == 0, folder.said()
    same(small, folder)
    perf = json.loads((folder.results / "small/perf/train/base/seed0.json").read_text())
    assert perf["earlier_seconds"] > 0, perf
    # without resuming there would be at least 8 steps more
    assert STEPS <= folder.steps() < STEPS + 8, folder.steps()


def test_a_killed_node_loses_nothing(cluster: Cluster, folder: Folder, small: Folder) -> None:
    with folder.running() as run:
        job = hit(folder, run)
        cluster.kill_node(job["node"])
        try:
            assert until(lambda: training(folder)["state"] == "PENDING", 30)
            cluster.hurry(job["id"])
            assert until(lambda: training(folder)["state"] == "RUNNING", 60)
            assert training(folder)["id"] == job["id"]
            assert training(folder)["node"] != job["node"]
            ends_well(folder, run, small)
        finally:
            cluster.start_node(job["node"])


def test_a_canceled_job_is_noticed_and_goes_on(
    cluster: Cluster, folder: Folder, small: Folder
) -> None:
    with folder.running() as run:
        job = hit(folder, run)
        cluster.run("scancel", job["id"])
        ends_well(folder, run, small)


def test_a_killed_run_is_gone_on_with_by_the_same_command(
    cluster: Cluster, folder: Folder, small: Folder
) -> None:
    with folder.running() as run:
        job = hit(folder, run)
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert training(folder)["state"] == "RUNNING"  # an orphan, which a second run must not meet
    with folder.running() as again:
        assert until(lambda: "left 1 job(s) in the queue" in folder.said(), 60), folder.said()
        assert until(lambda: training(folder)["id"] != job["id"], 120), folder.said()
        ends_well(folder, again, small)


def test_a_job_over_its_time_limit_gets_more_and_goes_on(
    cluster: Cluster, folder: Folder, small: Folder
) -> None:
    with folder.running() as run:
        job = hit(folder, run)
        cluster.run("scontrol", "update", f"JobId={job['id']}", "EndTime=now")
        ends_well(folder, run, small)
    assert ("TIMEOUT", job["id"]) in {(row["state"], row["id"]) for row in cluster.history()}


def test_a_job_over_its_memory_limit_gets_more_and_goes_on(
    cluster: Cluster, folder: Folder, small: Folder
) -> None:
    memory = ("--set-resources", "train:mem_mb=1500 * attempt", "train:runtime=60")
    with folder.running(*memory) as run:
        hit(folder, run)
        (folder.path / "eat-memory").touch()
        ends_well(folder, run, small)


def test_a_preempted_job_makes_room_and_goes_on(
    cluster: Cluster, folder: Folder, small: Folder
) -> None:
    with folder.running() as run:
        job = hit(folder, run)
        nodes = str(len(cluster.nodes))
        urgent = cluster.run(
            "sbatch", "--parsable", "-p", "urgent", "-A", "lab", "-N", nodes, "--exclusive",
            "-o", "/dev/null", "--wrap", "sleep 1",
        )  # fmt: skip
        assert until(lambda: training(folder)["state"] == "PENDING", 60), cluster.queue()
        assert until(lambda: urgent not in [j["id"] for j in cluster.queue()], 60)
        cluster.hurry(job["id"])
        assert until(lambda: training(folder)["state"] == "RUNNING", 60), cluster.queue()
        assert training(folder)["id"] == job["id"]
        ends_well(folder, run, small)


def test_a_full_disk_is_named_and_goes_on_when_there_is_room(
    cluster: Cluster, folder: Folder, small: Folder
) -> None:
    with folder.running() as run:
        hit(folder, run)
        (folder.path / "fill-disk").touch()
        ends_well(folder, run, small)
    assert "the disk (or quota) is full while writing" in folder.said()
