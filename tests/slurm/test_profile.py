"""The profiles of clusters and of GPU machines, without a cluster."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from leakboard import queue

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).parents[2]
RULES = "\n".join(file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("rules/*.smk")))
BODIES = dict(re.findall(r"^rule (\w+):\n((?:(?: .*)?\n)*)", RULES, re.MULTILINE))
NETWORKS = {name for name, body in BODIES.items() if re.search(r"^ {8}gpu=", body, re.MULTILINE)}
SHARED = ("scheduler", "logger", "show-failed-logs", "rerun-incomplete", "rerun-triggers")
SHARED += ("max-checksum-file-size",)


def profile(name: str) -> dict[str, Any]:
    """The content of a profile."""
    return yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["slurm", "gpu"])
def test_what_reruns_does_not_depend_on_the_machine(name: str) -> None:
    default = profile("default")
    assert {key: profile(name)[key] for key in SHARED} == {key: default[key] for key in SHARED}


def test_every_rule_that_runs_a_network_has_memory_time_and_gpus_and_asks_for_more() -> None:
    assert {"train", "sample", "attack", "embed", "embed_pools"} <= NETWORKS
    slurm = profile("slurm")
    assert slurm["config"] == ["gpu=1"]
    assert slurm["set-resources"].keys() == NETWORKS
    for settings in (*slurm["set-resources"].values(), slurm["default-resources"]):
        for key in ("mem_mb", "runtime"):
            asked = [eval_attempt(settings[key], attempt) for attempt in (1, 2, 3)]
            assert asked[0] < asked[1] < asked[2], settings
    assert slurm["retries"] == 2


def eval_attempt(text: str, attempt: int) -> int:
    """What `720 * attempt` is."""
    factor, times = text.split(" * ")
    assert times == "attempt"
    return int(factor) * attempt


def test_what_the_cluster_must_never_be_asked_stays_out() -> None:
    slurm = profile("slurm")
    assert slurm["slurm-status-command"] == "squeue"
    assert slurm["slurm-requeue"] is True
    assert queue.OURS.fullmatch(f"{slurm['slurm-jobname-prefix']}_{uuid.uuid4()}")
    assert slurm["slurm-logdir"] == queue.LOGS
    assert 20 <= slurm["slurm-init-seconds-before-status-checks"] <= 40
    assert "slurm-array-jobs" not in slurm
    assert "retries:" not in RULES  # there the job's own Snakemake would obey it too


def test_groups_name_rules_that_exist_and_need_no_network() -> None:
    slurm = profile("slurm")
    groups = dict(each.split("=") for each in slurm["groups"])
    assert groups.keys() <= BODIES.keys() - NETWORKS
    sizes = dict(each.split("=") for each in slurm["group-components"])
    assert sizes.keys() == set(groups.values())


def planned(name: str, path: Path) -> str:
    """A dry run of the small board with a profile, where there is no cluster."""
    from conftest import SMALL, Folder

    folder = Folder(path / "small", SMALL / "config")
    folder.env["SLURM_CONF"] = "/nowhere/slurm.conf"
    done = folder.ends("--workflow-profile", f"profiles/{name}", "--dry-run")
    assert done.returncode == 0, done.stdout
    return done.stdout


def resources(said: str, rule: str) -> dict[str, str]:
    """What the first job of a rule asks for, in a dry run."""
    found = re.search(rf"^rule {rule}:\n(?: {{4}}.*\n)*? {{4}}resources: (.*)$", said, re.MULTILINE)
    assert found, said
    return dict(pair.split("=", 1) for pair in found[1].split(", "))


def test_a_dry_run_shows_what_each_job_asks_for(tmp_path: Path) -> None:
    said = planned("slurm", tmp_path)
    train, describe = resources(said, "train"), resources(said, "describe")
    assert train | {"gpu": "1", "mem_mb": "8000", "slurm_partition": "gpu"} == train
    assert train | {"runtime": "720", "slurm_account": "lab"} == train
    assert "gpu" not in describe
    assert describe | {"mem_mb": "4000", "slurm_partition": "normal", "runtime": "30"} == describe


def test_on_a_machine_with_gpus_each_network_asks_for_one(tmp_path: Path) -> None:
    said = planned("gpu", tmp_path)
    assert resources(said, "train")["gpu"] == "1"
    assert "gpu" not in resources(said, "describe")
    assert profile("gpu")["resources"] == ["gpu=1"]  # where a person writes how many there are
