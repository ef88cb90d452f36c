"""Planning stays fast: what reading the workflow loads, what a plan takes, and what one job asks.

Budgets are processor seconds, which others at work on the machine hardly change.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Folder

REPO = Path(__file__).parents[2]
HEAVY = {"torch", "diffusers", "transformers", "torchmetrics", "faiss", "scipy", "sklearn"}
HEAVY |= {"matplotlib", "networkx"}


@pytest.fixture(scope="module")
def planning() -> Any:
    """The benchmark of planning, as a module."""
    spec = importlib.util.spec_from_file_location("planning", REPO / "benchmarks/planning.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loaded(folder: Path) -> set[str]:
    """The packages that Snakemake has loaded when it has read a workflow."""
    run = [sys.executable, "-X", "importtime", "-m", "snakemake", "--list-rules"]
    env = {**os.environ, "PYTHONPATH": str(folder / "workflow")}
    done = subprocess.run(run, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE)}


def test_reading_the_workflow_loads_nothing_heavy(planning: Any, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/Snakefile").write_text("rule all:\n    output: 'x'\n", encoding="utf-8")
    (tmp_path / "whole").mkdir()
    own = loaded(planning.clone(tmp_path / "whole"))
    assert {"leakboard", "pydantic", "yaml"} <= own
    assert not own & HEAVY
    # Snakemake and its plug-ins may load these for themselves; the workflow does not.
    shutil.copytree(tmp_path / "whole/workflow", tmp_path / "bare/workflow")
    more = own - loaded(tmp_path / "bare")
    assert not more & {"numpy", "pandas", "pyarrow", "PIL", "jinja2"}


def test_five_thousand_jobs_are_planned_in_seconds(planning: Any, tmp_path: Path) -> None:
    larger = {"defenses": 10, "attacks": 15, "seeds": 18, "lambdas": None, "images": None}
    planning.enlarge(planning.clone(tmp_path), argparse.Namespace(**larger, shards=None))
    seconds, _, said = planning.spent(planning.DRY, tmp_path)
    jobs = planning.counted(said)
    assert sum(jobs.values()) >= 5000
    assert seconds < 20, "measured: 9, where a plan of as many bare jobs takes 8"
    # Few jobs for each cell: what is quick is measured for all defenses by one job.
    assert (jobs["copying"], jobs["quality"]) == (2 * 18, 18)


def test_a_finished_board_says_so_in_seconds(planning: Any, finished: Folder) -> None:
    assert finished.jobs() == set()
    seconds, _, said = planning.spent(["-m", "leakboard.cli", "run"], finished.path)
    assert "Nothing to be done" in said
    assert seconds < 4, "measured: 2"


def test_one_job_is_planned_without_the_others(fresh: Folder) -> None:
    # As on a node of a cluster, where each job's Snakemake plans that job alone.
    assert fresh.jobs("results/tiny/subset/split.csv") == {"subset"}
    stamps = {file.name for file in (fresh.path / ".snakemake/sources").iterdir()}
    assert stamps == {"subset,datasets=digits"}
