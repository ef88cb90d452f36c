"""A board on three nodes and the same board on one machine: the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from waiting import until

if TYPE_CHECKING:
    from cluster import Cluster

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of the tiny track, whose pictures take a little longer."""
    from conftest import changed, workflow

    folder = tmp_path_factory.mktemp("config")
    shutil.copytree(workflow.TINY, folder, dirs_exist_ok=True)
    # so long that it can be timed: a ratio to no time at all is no number
    changed(folder / "tracks/tiny.yaml", lambda track: track["sampling"].update(steps=20))
    return folder


def test_a_board_of_three_nodes_is_that_of_one_machine_byte_for_byte(
    cluster: Cluster,
    config: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
) -> None:
    from conftest import Folder, made_once, same

    there = Folder(tmp_path / "tiny", config, cluster)
    before = {row["id"] for row in cluster.history()}
    with there.running() as run:
        here = made_once("tiny-here", config, tmp_path_factory, worker_id)  # at the same time
        assert run.wait(2400) == 0, there.said()
    same(here, there)

    def told() -> list[dict[str, str]]:
        ours = "rule_"  # how the comments of Snakemake's jobs begin
        rows = cluster.history()
        return [r for r in rows if r["id"] not in before and r["comment"].startswith(ours)]

    until(lambda: all(row["state"] not in ("RUNNING", "COMPLETING") for row in told()), 30)
    evidence = "".join(f"{'|'.join(row.values())}\n" for row in told())
    (tmp_path / "sacct.txt").write_text(evidence)  # sacct -X -n -P -o jobid,state,nodelist,comment
    assert len(told()) > 60, evidence
    assert {row["state"] for row in told()} == {"COMPLETED"}, evidence
    assert len({row["node"] for row in told()}) >= 2, evidence
    assert any("rule_train" in row["comment"] for row in told()), evidence
    assert_modest(cluster, evidence)


def assert_modest(cluster: Cluster, evidence: str) -> None:
    """A group asks for the memory and the core of one member, and the time of all."""
    fields = "reqcpus,reqmem,timelimitraw,comment"
    rows = cluster.run("sacct", "-X", "-n", "-P", "-o", fields).splitlines()
    groups = [row.split("|") for row in rows if "rule_judges" in row or "rule_neighbors" in row]
    assert groups, evidence
    for cores, memory, minutes, _ in groups:
        assert (cores, memory.rstrip("nc")) == ("1", "4000M"), groups
        assert 30 <= int(minutes) <= 8 * 30, groups
    assert max(int(row[2]) for row in groups) >= 60, groups
