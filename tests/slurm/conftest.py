"""A cluster for all tests of a worker, folders to run in, and a local run to compare with."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import PACKAGES, Cluster, missing
from filelock import FileLock

HERE = Path(__file__).parent
SMALL = HERE / "small"
QUICK = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10")

_spec = importlib.util.spec_from_file_location(
    "workflow_conftest", HERE.parent / "workflow/conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
workflow: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(workflow)


class Folder:
    """A clone of the sources with a configuration, and `leakboard run` in it on a cluster."""

    def __init__(self, path: Path, config: Path, cluster: Cluster | None = None) -> None:
        if not path.exists():
            workflow.clone(path)
            shutil.rmtree(path / "config")
            shutil.copytree(config, path / "config", copy_function=shutil.copyfile)
            shutil.copyfile(HERE.parents[1] / "config/reported.yaml", path / "config/reported.yaml")
            shutil.copyfile(SMALL / "patient.py", path / "workflow/leakboard/trainers/patient.py")
        self.path, self.results, self.cluster = path, path / "results", cluster
        self.env = dict(cluster.env if cluster else os.environ)
        self.env = {name: text for name, text in self.env.items() if "LEAKBOARD" not in name}
        source = os.pathsep.join([str(path / "workflow"), str(HERE / "polling")])
        self.env |= {"PYTHONPATH": source, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}

    @contextlib.contextmanager
    def running(self, *args: str) -> Iterator[subprocess.Popen[bytes]]:
        """`leakboard run` on the cluster, which is ended (as by Ctrl-C) when the test is over."""
        command = ["run", "--workflow-profile", "profiles/slurm", *QUICK, *args]
        with (self.path / "out.txt").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "leakboard.cli", *command],
                cwd=self.path,
                env=self.env,
                stdout=out,
                stderr=out,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(5)
                    process.kill()
                    process.wait()

    def local(self) -> None:
        """`leakboard run` on this machine, to its end."""
        done = self.ends()
        assert done.returncode == 0, done.stdout

    def ends(self, *args: str) -> subprocess.CompletedProcess[str]:
        """What becomes of `leakboard run` on this machine; stdout and stderr as one text."""
        return subprocess.run(
            [sys.executable, "-m", "leakboard.cli", "run", *args],
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
        )

    def said(self) -> str:
        """All that the runs on the cluster said so far."""
        return (self.path / "out.txt").read_text(errors="replace")

    def has(self, job: str) -> bool:
        """Whether a job of the cluster belongs to a run in this folder."""
        assert self.cluster is not None
        return self.cluster.run("squeue", "-h", "-j", job, "-o", "%Z") == str(self.path)

    def change(self, file: str, edit: Callable[[dict[str, Any]], object]) -> None:
        """Rewrite a YAML file as `edit` changes its content."""
        changed(self.path / file, edit)

    def contents(self) -> dict[str, bytes]:
        """Every result file and its bytes, but for logs."""
        return dict(workflow.Folder(self.path).contents())

    def steps(self) -> int:
        """How many steps the patient training has made, over all attempts."""
        file = self.path / "steps"
        return len(file.read_text().split()) if file.exists() else 0

    def checkpoint(self) -> bool:
        """Whether the patient training has written one."""
        return bool(list(self.results.glob("*/checkpoints/base/seed0/[!.]*.safetensors")))


def changed(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite a YAML file as `edit` changes its content."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


# What is made of times and memory: these columns of these tables, and whole files.
TIMED = {
    "leaderboard.csv": ["training_seconds", "sampling_seconds", "sampling_ratio", "peak_memory_mb"],
    "leaderboard.md": ["Training", "Sampling", "Relative", "Memory"],
    "trainings.csv": ["seconds", "peak_memory_mb"],
}
HASHES = ("records/rank.json", "records/page.json", "leaderboard.html")  # of those tables


def same(one: Folder, other: Folder) -> None:
    """The results of two runs are equal byte for byte, but for what is made of times.

    That are the records in perf/, the columns TIMED, and the hashes of these files.
    """
    first, second = one.contents(), other.contents()
    assert first.keys() == second.keys(), first.keys() ^ second.keys()
    for name, content in first.items():
        rest = name.partition("/")[2]
        if rest.startswith("perf/") or rest in HASHES or name in HASHES:
            continue
        if columns := TIMED.get(rest):
            tables = untimed(content, rest, columns), untimed(second[name], rest, columns)
            assert tables[0] == tables[1], name
        else:
            assert content == second[name], name


def untimed(content: bytes, name: str, columns: list[str]) -> list[list[str]]:
    """A table without some of its columns; in Markdown with the text around it."""
    text = content.decode()
    if name.endswith(".csv"):
        rows = list(csv.reader(text.splitlines()))
    else:
        rows = [re.split(r" *\| *", line) for line in text.splitlines()]
    head = next(row for row in rows if columns[0] in row)
    left_out = [head.index(column) for column in columns]
    return [
        [cell for i, cell in enumerate(row) if len(row) != len(head) or i not in left_out]
        for row in rows
    ]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Three nodes, with accounting. Without its programs the test is skipped, and loudly."""
    if lacking := missing():
        reason = f"NO SLURM HERE ({', '.join(lacking)}): apt-get install {PACKAGES}"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="leak", dir="/tmp"))
    try:
        with Cluster(folder / "c") as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder)


def made_once(name: str, config: Path, factory: pytest.TempPathFactory, worker: str) -> Folder:
    """A local run of a configuration, made once for all workers."""
    own = factory.getbasetemp()
    path = (own if worker == "master" else own.parent) / name
    with FileLock(f"{path}.lock"):
        if not path.exists():
            making = Folder(path.with_name(f"{name}-making"), config)
            making.local()
            making.path.rename(path)
    return Folder(path, config)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Folder:
    """The small board, run to its end on this machine, undisturbed."""
    return made_once("small", SMALL / "config", tmp_path_factory, worker_id)
