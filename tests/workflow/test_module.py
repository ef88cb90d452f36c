"""The workflow as a module: taken from a clone or from a repository, whole or renamed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Folder

REPO = Path(__file__).parents[2]
WRAPPER = ("--snakefile", "workflow/Snakefile")
SPLIT = "results/tiny/subset/split.csv"
USE = """configfile: "config/config.yaml"

module leakboard:
    snakefile: {snakefile}
    config: config
    {more}

use rule * from leakboard {named}
"""


def take(user: Folder, snakefile: str, named: str = "", more: str = "") -> None:
    """Write the Snakefile of a user."""
    text = USE.format(snakefile=snakefile, named=named, more=more)
    (user.path / "Snakefile").write_text(text, encoding="utf-8")


def quoted(sources: Folder) -> str:
    """The wrapper of a clone, as a Snakefile names it."""
    return repr(str(sources.path / "workflow/Snakefile"))


def said(user: Folder, *args: str) -> str:
    """The message of a run that ends before any job."""
    done = user.snakemake("--dry-run", *args)
    assert done.returncode == 1, done.stdout
    (message,) = re.findall(r"^leakboard: .*", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stdout
    return message


@pytest.fixture(scope="module")
def planned(sources: Folder) -> set[str]:
    """The jobs of the tiny board, as the wrapper plans them in its clone."""
    return sources.jobs(*WRAPPER)


def test_the_wrapper_plans_the_jobs_of_the_workflow(sources: Folder, planned: set[str]) -> None:
    assert planned - {"leaderboard"} == sources.jobs() - {"all"}
    assert "leaderboard" in planned


def test_what_one_of_the_two_made_the_other_takes(sources: Folder, tmp_path: Path) -> None:
    shutil.copytree(sources.path, tmp_path / "both")
    both = type(sources)(tmp_path / "both")
    both.env["PYTHONPATH"] = str(both.path / "workflow")
    done = both.snakemake(*WRAPPER, SPLIT)
    assert done.returncode == 0, done.stdout
    assert both.jobs(SPLIT) == set()
    trained = "results/tiny/networks/pretrained/seed0/training.csv"
    assert both.jobs(*WRAPPER, trained) == {"train pretrained"}


def test_a_finished_board_is_finished_for_the_wrapper_too(board: Folder) -> None:
    assert board.jobs(*WRAPPER) == board.jobs() == set()


def test_a_user_takes_the_workflow_as_a_module(
    sources: Folder, planned: set[str], user: Folder
) -> None:
    take(user, quoted(sources))
    assert user.jobs() == planned
    done = user.snakemake(SPLIT)
    assert done.returncode == 0, done.stdout
    assert (user.path / SPLIT).is_file()
    assert not (sources.path / SPLIT).exists()
    assert user.jobs(SPLIT) == set()
    user.set("config/tracks/tiny.yaml", "subset.members", 22)
    assert user.jobs(SPLIT) == {"subset"}


def test_a_user_gives_the_rules_other_names(
    sources: Folder, planned: set[str], user: Folder
) -> None:
    take(user, quoted(sources), "as audit_*")
    assert {job.removeprefix("audit_") for job in user.jobs()} == planned


def test_the_sources_that_a_module_runs_are_those_of_its_clone(
    sources: Folder, user: Folder
) -> None:
    take(user, quoted(sources))
    user.env["PYTHONPATH"] = str(REPO / "workflow")  # another clone, or an installed package
    message = said(user)
    assert str(REPO / "workflow/leakboard") in message
    assert f"pip install --editable {sources.path}" in message


def test_a_prefix_is_refused_for_paths_are_part_of_the_results(
    sources: Folder, user: Folder
) -> None:
    take(user, quoted(sources), more='prefix: "mine"')
    assert "no `prefix:` or `replace_prefix:` here" in said(user)


def test_a_module_is_taken_from_a_repository_beside_an_installed_package(
    sources: Folder, planned: set[str], user: Folder, tmp_path: Path
) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"], ["tag", "v0"]):
        subprocess.run([*git, *args], cwd=sources.path, check=True)
    host = tmp_path / "host"
    subprocess.run(
        ["git", "clone", "-q", "--bare", str(sources.path), str(host / "me/leakboard")], check=True
    )
    user.env |= {"XDG_CACHE_HOME": str(tmp_path), "GIT_CONFIG_COUNT": "1"}
    user.env |= {"GIT_CONFIG_KEY_0": f"url.file://{host}/.insteadOf"}
    user.env |= {"GIT_CONFIG_VALUE_0": "https://github.com/"}  # git asks no host
    shutil.copyfile(REPO / "config/reported.yaml", user.path / "config/reported.yaml")
    take(user, 'github("me/leakboard", path="workflow/Snakefile", tag="v0")')
    assert user.jobs() == planned
    done = user.snakemake(SPLIT)
    assert done.returncode == 0, done.stdout
    assert user.jobs(SPLIT) == set()
    assert "clone the repository" in said(user, "--sdm", "conda")


def test_a_module_does_not_run_everything_when_asked_for_the_board_of_what_there_is(
    sources: Folder, user: Folder
) -> None:
    take(user, quoted(sources))
    user.env["LEAKBOARD_BOARD"] = "1"  # as `leakboard board` sets it
    assert "makes no board of what there is" in said(user)


def test_an_image_that_is_not_there_is_named_with_the_command_that_builds_it(
    sources: Folder,
) -> None:
    message = said(sources, "--sdm", "apptainer")
    assert "no image envs/leakboard.sif; build it, `apptainer build envs/leakboard.sif " in message


def test_the_catalog_finds_what_it_asks_for() -> None:
    usage = yaml.safe_load((REPO / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"] == {"conda": True, "apptainer": True, "report": True}
    assert (REPO / "workflow/Snakefile").is_file()
    assert (REPO / "config/README.md").is_file()
    assert {"snakemake", "workflow"} <= set(re.findall(r"\w+", (REPO / "README.md").read_text()))
