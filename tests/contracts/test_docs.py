"""What is generated, or written twice, is in step with its source."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from leakboard import docs, plugins

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "config/config.yaml"
TRACKS = sorted((ROOT / "config/tracks").glob("*.yaml"))
DUPLICATES = ROOT / "config/tracks/digits-duplicates.yaml"
DIGITS = ROOT / "config/tracks/digits.yaml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def schema(name: str) -> dict[str, Any]:
    path = ROOT / "workflow" / "schemas" / f"{name}.schema.json"
    return json.loads(path.read_text(encoding="utf-8"))


def content(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", docs.files())
def test_generated_pages_are_up_to_date(path: str) -> None:
    on_disk = (ROOT / path).read_text(encoding="utf-8")
    assert on_disk == docs.files()[path], f"{path} is out of date: run `leakboard docs`"


def test_every_schema_is_generated() -> None:
    on_disk = {f.relative_to(ROOT).as_posix() for f in (ROOT / "workflow/schemas").iterdir()}
    assert on_disk == {path for path in docs.files() if "schemas" in path}


def test_generated_pages_are_written_where_they_belong(tmp_path: Path) -> None:
    docs.write(tmp_path)
    written = {f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*") if f.is_file()}
    assert written == set(docs.files())


def test_the_page_names_every_method_and_param() -> None:
    page = (ROOT / "config/README.md").read_text(encoding="utf-8")
    for group in plugins.CLASSES:
        table = page.split(f"**{group}**")[1].strip().partition("\n\n")[0]
        for method in plugins.modules(group):
            if plugins.module(group, method).startswith("leakboard."):
                (row,) = (r for r in table.splitlines() if r.startswith(f"| `{method}` |"))
                assert all(f"`{param}: " in row for param in plugins.defaults(group, method))


@pytest.mark.parametrize("name", ["config", "track"])
def test_a_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_the_shipped_configuration_fits_its_schema() -> None:
    jsonschema.validate(content(SHARED), schema("config"))


@pytest.mark.parametrize("path", TRACKS, ids=lambda path: path.stem)
def test_a_shipped_track_fits_its_schema(path: Path) -> None:
    jsonschema.validate(content(path), schema("track"))


@pytest.mark.parametrize(
    ("name", "path", "at", "value"),
    [
        ("config", SHARED, ["netwroks"], {}),
        ("config", SHARED, ["defenses", "none", "denoisres"], []),
        ("config", SHARED, ["defenses", "none", "denoisers"], []),
        ("config", SHARED, ["networks", "base", "data"], "held-out"),
        ("track", DIGITS, ["sampling", "sampler"], "euler"),
        ("track", DIGITS, ["subset", "members"], 1),
        ("track", DIGITS, ["about"], None),
        ("track", DIGITS, ["sampling"], {"steps": 50}),
        ("track", DIGITS, ["subset", "duplicates"], {"images": 10}),
        ("track", DUPLICATES, ["subset", "duplicates", "times"], 1),
    ],
)
def test_a_schema_refuses_what_the_run_refuses(
    name: str, path: Path, at: list[str], value: Any
) -> None:
    changed = copy.deepcopy(content(path))
    place = changed
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, schema(name))


ELSEWHERE = {  # names on conda-forge -> names on PyPI, where they differ
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "snakemake-minimal": "snakemake",
}


def asked(requirements: list[str]) -> dict[str, set[str]]:
    """package -> the versions that are asked for."""
    parts = [re.split(r" ?(?=[<>=!])", text, maxsplit=1) for text in requirements]
    return {ELSEWHERE.get(name, name): set("".join(rest).split(",")) for name, *rest in parts}


def test_the_conda_environment_asks_for_what_the_package_asks_for() -> None:
    conda = asked(content(ROOT / "envs/leakboard.yaml")["dependencies"])
    assert conda.pop("python") == set(PROJECT["requires-python"].split(","))
    assert conda == asked(PROJECT["dependencies"])


def test_the_recipe_of_the_image_installs_what_the_package_asks_for(tmp_path: Path) -> None:
    text = (ROOT / "envs/leakboard.def").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^%(\w+)\n((?:(?!%).*\n)+)", text, flags=re.MULTILINE))
    steps = sections["post"].replace("/opt/leakboard", str(tmp_path))
    assert sections["files"].split() == ["pyproject.toml", "/opt/leakboard/pyproject.toml"]
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    *lines, install = steps.strip().splitlines()
    assert install.strip().startswith("python -m pip install ")
    assert install.endswith("--requirement requirements.txt")
    shell = ["sh", "-c", "\n".join(lines)]
    env = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(shell, check=True, env=env)
    written = (tmp_path / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert written == PROJECT["dependencies"]
    (version,) = re.findall(r"^From: python:(\d+\.\d+)", text, flags=re.MULTILINE)
    wanted = PROJECT["requires-python"].removeprefix(">=")
    assert tuple(map(int, version.split("."))) >= tuple(map(int, wanted.split(".")))


def test_every_rule_names_an_environment_that_exists() -> None:
    for file in sorted((ROOT / "rules").glob("*.smk")):
        text = file.read_text(encoding="utf-8")
        named = re.findall(r'    conda:\n        "(.+)"\n', text)
        assert len(named) == len(re.findall(r"^rule \w+:", text, flags=re.MULTILINE)), file.name
        assert all((ROOT / "rules" / name).is_file() for name in named), file.name
