"""What can go wrong with a training on a cluster. Each time the board comes out as if nothing had.

Only the training is a job of the cluster here; the rest runs beside Snakemake, to save time.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from waiting import until

if TYPE_CHECKING:
    from cluster import Cluster

    from conftest import Folder

pytestmark = pytest.mark.slurm
STEPS = 60


@pytest.fixture
def folder(cluster: Cluster, tmp_path: Path) -> Folder:
    """A clone with the small configuration, in which only `train` goes to the cluster."""
    from conftest import SMALL, Folder

    made = Folder(tmp_path / "small", SMALL / "config", cluster)
    rules = ["subset", "embed_pools", "embed", "sample", "attack", "background", "similarity"]
    rules += ["describe", "copying", "quality", "membership", "compare"]
    snakefile = made.path / "Snakefile"
    snakefile.write_text(snakefile.read_text() + f"\n\nlocalrules: {', '.join(rules)}\n")
    made.change("profiles/slurm/profile.yaml", lambda each: each.pop("groups"))
    made.change("profiles/slurm/profile.yaml", lambda each: each.pop("group-components"))
    return made


@pytest.fixture
def told(folder: Folder) -> Folder:
    """The same, where a training saves nothing before it is told to end (SIGTERM)."""
    (folder.path / "interval").write_text("10000")
    return folder


@pytest.fixture
def struck(folder: Folder) -> Folder:
    """The same, where a training saves once a second, since nobody will tell it (SIGKILL)."""
    (folder.path / "interval").write_text("1")
    return folder


def hit(folder: Folder, run: subprocess.Popen[bytes]) -> dict[str, str]:
    """Wait until the training is under way; its job comes back."""
    often = (folder.path / "interval").read_text() == "1"

    def begun() -> bool:
        under_way = folder.steps() > 8 and (folder.checkpoint() or not often)
        return run.poll() is not None or under_way

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
    # from scratch, it would be eight steps more at least
    assert STEPS <= folder.steps() < STEPS + 8, folder.steps()


def test_a_killed_node_loses_nothing(cluster: Cluster, struck: Folder, small: Folder) -> None:
    with struck.running() as run:
        job = hit(struck, run)
        cluster.kill_node(job["node"])
        try:
            assert until(lambda: training(struck)["state"] == "PENDING", 30)
            cluster.hurry(job["id"])
            assert until(lambda: training(struck)["state"] == "RUNNING", 60)
            assert training(struck)["id"] == job["id"]
            assert training(struck)["node"] != job["node"]
            ends_well(struck, run, small)
        finally:
            cluster.start_node(job["node"])


def test_a_canceled_job_is_noticed_and_goes_on(
    cluster: Cluster, told: Folder, small: Folder
) -> None:
    with told.running() as run:
        job = hit(told, run)
        cluster.run("scancel", job["id"])
        ends_well(told, run, small)


def test_a_killed_run_is_gone_on_with_by_the_same_command(
    cluster: Cluster, told: Folder, small: Folder
) -> None:
    with told.running() as run:
        hit(told, run)
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert training(told)["state"] == "RUNNING"  # an orphan, which a second run must not meet
    with told.running() as again:
        assert until(lambda: "left 1 job(s) in the queue" in told.said(), 60), told.said()
        assert "go on from their checkpoints" in told.said()
        ends_well(told, again, small)
    assert "its lock is removed" in told.said()


def test_what_a_killed_run_never_recorded_is_not_taken_for_something_else(
    small: Folder, tmp_path: Path
) -> None:
    """A job that ends after its run was killed leaves files that Snakemake knows nothing about."""
    from conftest import SMALL, Folder

    shutil.copytree(small.path, tmp_path / "small", symlinks=True)
    later = Folder(tmp_path / "small", SMALL / "config")
    shutil.rmtree(later.path / ".snakemake/metadata")
    (later.results / "small/samples/none/plain/seed0/0-24.npz").unlink()

    def slower(config: dict[str, Any]) -> None:
        config["networks"]["base"]["params"]["pause"] = 0.25

    later.change("config/config.yaml", slower)
    target = "results/small/samples/none/plain/seed0/0-24.npz"
    done = later.ends("--cores", "1", target)
    assert done.returncode == 1, done.stdout
    assert "made by another configuration" in done.stdout, done.stdout
    assert "results/small/networks/base/seed0" in done.stdout, done.stdout


def test_a_job_over_its_time_limit_gets_more_and_goes_on(
    cluster: Cluster, told: Folder, small: Folder
) -> None:
    with told.running() as run:
        job = hit(told, run)
        (told.path / "wait").touch()  # SLURM takes up to half a minute to look at the clock
        cluster.run("scontrol", "update", f"JobId={job['id']}", "EndTime=now")
        assert until(lambda: job["id"] not in [j["id"] for j in cluster.queue()], 60)
        (told.path / "wait").unlink()
        ends_well(told, run, small)
    assert ("TIMEOUT", job["id"]) in {(row["state"], row["id"]) for row in cluster.history()}


def test_a_job_over_its_memory_limit_gets_more_and_goes_on(
    cluster: Cluster, struck: Folder, small: Folder
) -> None:
    memory = ("--set-resources", "train:mem_mb=1500 * attempt", "train:runtime=60")
    with struck.running(*memory) as run:
        hit(struck, run)
        (struck.path / "eat-memory").touch()
        ends_well(struck, run, small)


def test_a_preempted_job_makes_room_and_goes_on(
    cluster: Cluster, told: Folder, small: Folder
) -> None:
    with told.running() as run:
        job = hit(told, run)
        nodes = str(len(cluster.nodes))
        urgent = cluster.run(
            "sbatch", "--parsable", "-p", "urgent", "-A", "lab", "-N", nodes, "--exclusive",
            "-o", "/dev/null", "--wrap", "sleep 1",
        )  # fmt: skip
        assert until(lambda: training(told)["state"] == "PENDING", 60), cluster.queue()
        assert until(lambda: urgent not in [j["id"] for j in cluster.queue()], 60)
        cluster.hurry(job["id"])
        assert until(lambda: training(told)["state"] == "RUNNING", 60), cluster.queue()
        assert training(told)["id"] == job["id"]
        ends_well(told, run, small)


def test_a_full_disk_is_named_and_goes_on_when_there_is_room(
    cluster: Cluster, struck: Folder, small: Folder
) -> None:
    with struck.running() as run:
        hit(struck, run)
        (struck.path / "fill-disk").touch()
        ends_well(struck, run, small)
    assert "the disk (or quota) is full while writing" in struck.said()
