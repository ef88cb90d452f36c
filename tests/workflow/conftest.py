"""A finished tiny board, made once; every test works on copies of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

REPO = Path(__file__).parents[2]
TINY = Path(__file__).parent / "tiny" / "config"
SILENT = {("track", "tiny"), ("seed", "0"), ("sampler", "plain")}  # what goes without saying


class Folder:
    """The sources, a configuration and what a run left there; its own working directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results = path / "results"
        self.board = self.results / "tiny"
        self.env = {name: text for name, text in os.environ.items() if "LEAKBOARD" not in name}
        self.env |= {"PYTHONPATH": str(path / "workflow"), "PYTHONUTF8": "1"}

    def snakemake(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Snakemake run to its end; stdout and stderr come back as one text."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *args],
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )

    def jobs(self, *targets: str) -> set[str]:
        """What a dry run would run: a rule and its wildcards each, as in "sample cpsample 0"."""
        done = self.snakemake("--dry-run", *targets)
        assert done.returncode == 0, done.stdout
        if "Nothing to be done" in done.stdout:
            return set()
        found = []
        for rule, rest in re.findall(r"^rule (\w+):\n((?: {4}.*\n)*)", done.stdout, re.MULTILINE):
            line = re.search(r"^ {4}wildcards: (.*)$", rest, re.MULTILINE)
            pairs = [pair.split("=", 1) for pair in line[1].split(", ")] if line else []
            names = [value for key, value in pairs if (key, value) not in SILENT]
            found.append(" ".join([rule, *names]))
        total = re.search(r"^total +(\d+)$", done.stdout, re.MULTILINE)
        assert total, done.stdout
        assert len(found) == len(set(found)) == int(total[1])
        return set(found)

    def change(self, file: str, edit: Callable[[dict[str, Any]], object]) -> None:
        """Rewrite a YAML file of the configuration as `edit` changes its content."""
        path = self.path / file
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        edit(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def set(self, file: str, keys: str, value: Any) -> None:
        """Set one value of the configuration; `keys` are joined by dots."""
        *outer, last = keys.split(".")

        def edit(content: dict[str, Any]) -> None:
            for key in outer:
                content = content.setdefault(key, {})
            content[last] = value

        self.change(file, edit)

    def append(self, file: str, text: str) -> None:
        """Add a line at the end of a source file."""
        with (self.path / file).open("a", encoding="utf-8") as stream:
            stream.write(f"{text}\n")

    def network(self, name: str) -> Path:
        """The folder of a network."""
        return self.board / "networks" / name / "seed0"

    def shard(self, defense: str, name: str = "0-24", sampler: str = "plain") -> Path:
        """A file of drawn pictures; all of them, by default."""
        return self.board / "samples" / defense / sampler / "seed0" / f"{name}.npz"

    def contents(self) -> Mapping[str, bytes]:
        """Every result file and its bytes, but for logs."""
        return {
            str(file.relative_to(self.results)): file.read_bytes()
            for file in sorted(self.results.rglob("*"))
            if file.is_file() and "logs" not in file.relative_to(self.results).parts
        }


def clone(to: Path) -> Folder:
    """The sources with new times, the tiny configuration, and no results."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPO,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPO / name).is_file() and not name.startswith(("config/", "tests/")):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, to / name)
    shutil.copytree(TINY, to / "config", copy_function=shutil.copyfile)
    shutil.copyfile(REPO / "config/reported.yaml", to / "config/reported.yaml")
    return Folder(to)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Folder:
    """The tiny board, run once to its end for all workers. Nobody changes it: see `board`."""
    own = tmp_path_factory.getbasetemp()
    path = (own if worker_id == "master" else own.parent) / "finished"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            making = clone(path.with_name("making"))
            done = making.snakemake()
            assert done.returncode == 0, done.stdout
            making.path.rename(path)
    return Folder(path)


@pytest.fixture
def board(finished: Folder, tmp_path: Path) -> Folder:
    """A copy of the finished board, for a test to change: files keep their times."""
    shutil.copytree(finished.path, tmp_path / "board", symlinks=True)
    return Folder(tmp_path / "board")


@pytest.fixture
def fresh(finished: Folder, tmp_path: Path) -> Folder:
    """A fresh clone of the finished board's sources and configuration: new times, no results."""
    made = shutil.ignore_patterns("results", ".snakemake", "__pycache__")
    shutil.copytree(finished.path, tmp_path / "fresh", ignore=made, copy_function=shutil.copyfile)
    (tmp_path / "fresh/results").mkdir()
    return Folder(tmp_path / "fresh")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A clone of the sources, which nobody runs in."""
    return clone(tmp_path_factory.mktemp("clone") / "leakboard")


@pytest.fixture
def user(sources: Folder, tmp_path: Path) -> Folder:
    """The folder of a user of the module, with a configuration and nothing else."""
    (tmp_path / "user").mkdir()
    shutil.copytree(TINY, tmp_path / "user/config", copy_function=shutil.copyfile)
    place = Folder(tmp_path / "user")
    place.env["PYTHONPATH"] = str(sources.path / "workflow")
    return place
