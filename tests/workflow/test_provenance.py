"""Boards that say what they were made from: verified, merged, and shown in Snakemake's report."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leakboard import artefacts, merge, verify
from leakboard.errors import UserError
from leakboard.files import sha256

if TYPE_CHECKING:
    from conftest import Folder

SHARED, TRACK = "config/config.yaml", "config/tracks/tiny.yaml"
CELLS = "measurements/membership/loss/weights/seed0.json"
SCORES = "scores/loss/weights/base/seed0.parquet"


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute as jobs do: several threads add up in another order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def results(finished: Folder, tmp_path: Path) -> Path:
    """A copy of the finished results, moved elsewhere."""
    left_out = shutil.ignore_patterns("networks", "checkpoints", "logs")
    return Path(shutil.copytree(finished.results, tmp_path / "moved", ignore=left_out))


def edit(file: Path, change: Callable[[Any], object]) -> None:
    """Change the content of a JSON file."""
    content = artefacts.read_json(file)
    change(content)
    artefacts.write_json(file, content)


def differences(results: Path) -> str:
    """What is found to differ, a line for each."""
    return "\n".join(verify.Track(results, "tiny").verify().differences)


def test_measurement_files_name_their_inputs_as_the_workflow_gave_them(finished: Folder) -> None:
    content = artefacts.read_json(finished.board / CELLS)
    assert list(content) == ["inputs", "rows", "spec", "stage"]
    assert content["stage"] == content["spec"]["stage"] == "membership"
    pairs = content["inputs"]["scores"]
    targets = [Path(path).parent.name for path, _ in pairs]
    assert targets == sorted(targets)
    assert {"base", "half-a", "half-b", "distilled", "told"} <= set(targets)
    for path, recorded in pairs:
        assert sha256(finished.path / path) == recorded
    assert "code" not in content["inputs"]


def test_the_command_line_verifies_a_board_and_says_in_one_line_what_it_looked_at(
    finished: Folder,
) -> None:
    with (finished.board / "measurements.csv").open(encoding="utf-8") as file:
        numbers = len(list(csv.reader(file))) - 1
    command = [sys.executable, "-m", "leakboard.cli", "verify"]
    done = subprocess.run(
        command, cwd=finished.path, env=finished.env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, rest = done.stdout.split(", ", 1)
    assert first == f"tiny: {numbers} numbers"
    assert rest.endswith(" files: verified\n")
    assert 50 < int(rest.split()[0]) < 500


def test_a_moved_folder_is_verified_where_it_is(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.main(results) == 0
    assert capsys.readouterr().out.endswith("verified\n")


def test_a_score_that_was_changed_is_found_by_its_hash_and_by_its_numbers(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = results / "tiny" / SCORES
    spec, table = artefacts.spec_of(file), artefacts.read_table(file)
    table["score"] = -table["score"]
    artefacts.write_table(file, spec, table)
    assert verify.main(results) == 1
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith(f" files: {len(lines)} differences")
    assert any(line.startswith(f"  {file}: recorded ") and "SHA-256" in line for line in lines)
    assert any("auc of loss (weights) on none, seed 0: value: recorded 0." in e for e in lines)
    assert not any("pia" in line for line in lines)  # what does not rest on it is as it was


EDITS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a number of a measurement": (
        lambda board: edit(board / CELLS, lambda c: c["rows"][0].update(value=0.123)),
        f"{CELLS}: auc of loss (weights) on amg, seed 0: value: recorded 0.123, found 0.",
    ),
    "a row of a measurement that is left out": (
        lambda board: edit(board / CELLS, lambda c: c["rows"].pop()),
        "found, and not recorded",
    ),
    "the spec of a measurement": (
        lambda board: edit(
            board / "measurements/describe/pixels.json",
            lambda c: c["spec"]["how"].update(alpha=0.25),
        ),
        "measurements/describe/pixels.json: ",
    ),
    "a number of the table": (
        lambda board: replace(board / "measurements.csv", ",ok,", ",unresolved,"),
        "measurements.csv: row 1: status: recorded 'unresolved', found 'ok'",
    ),
    "a line of the table that is cut short": (
        lambda board: replace(board / "measurements.csv", "tiny,0,none,plain,", ""),
        "measurements.csv: row ",
    ),
    "a row of the table that is left out": (
        lambda board: shorten(board / "measurements.csv"),
        "rows, found ",
    ),
    "a number of the leaderboard": (
        lambda board: replace(board / "leaderboard.csv", ",undefended,0.0,", ",undefended,0.1,"),
        "leaderboard.csv: row 1: copy_rate: recorded '0.1', found '0.0'",
    ),
    "a word of the leaderboard's text": (
        lambda board: replace(board / "leaderboard.md", "complete |", "splendid |"),
        "leaderboard.md: differs from what its inputs say",
    ),
    "a file that is gone": (
        lambda board: (board / SCORES).unlink(),
        f"{SCORES}: missing; ",
    ),
    "a table that is gone": (
        lambda board: (board / "leaderboard.csv").unlink(),
        "leaderboard.csv: missing",
    ),
    "what a job took": (
        lambda board: edit(board / "perf/train/base/seed0.json", lambda c: c.update(seconds=0.5)),
        "trainings.csv: row 1: seconds: recorded ",
    ),
    "a path that leads elsewhere": (
        lambda board: edit(
            board / CELLS, lambda c: c["inputs"]["scores"][0].__setitem__(0, "results/../../x")
        ),
        "results/../../x: not the path of a result, which begins with 'results/'",
    ),
    "a stage that is none": (
        lambda board: edit(board / CELLS, lambda c: c.update(stage="merge")),
        f"{CELLS}: 'merge' is not a stage that measures",
    ),
}


def shorten(file: Path) -> None:
    """Leave out the last line of a file."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-1]), encoding="utf-8")


def replace(file: Path, old: str, new: str) -> None:
    """Replace some text in a file."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("what", EDITS)
def test_whatever_is_changed_by_hand_is_found(what: str, results: Path) -> None:
    change, said = EDITS[what]
    change(results / "tiny")
    assert said in differences(results)


def test_a_folder_without_a_board_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no measurements of any track in it"):
        verify.main(tmp_path)


# --- merge ---------------------------------------------------------------------------------------


def table(results: Path, name: str) -> list[dict[str, str]]:
    """The rows of a table, sorted."""
    with (results / "tiny" / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return sorted(rows, key=lambda row: list(row.values()))


def left_out(board: Folder, *names: str) -> Path:
    """The results of a board without some defenses or attacks."""

    def without(content: dict[str, Any]) -> None:
        for name in names:
            content["defenses" if name in content["defenses"] else "attacks"].pop(name)

    board.change(SHARED, without)
    done = board.snakemake()
    assert done.returncode == 0, done.stdout
    return board.results


def test_boards_of_two_machines_become_one_that_equals_that_of_one_machine(
    finished: Folder, board: Folder, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(board.path, other, symlinks=True)
    here = left_out(board, "cpsample", "dualmd")
    there = left_out(type(board)(other), "amg", "rejection")
    merged = tmp_path / "merged"
    merge.main([here, there], merged)
    for name in ("measurements.csv", "leaderboard.csv", "trainings.csv"):
        assert table(merged, name) == table(finished.results, name), name
    assert len(table(here, "measurements.csv")) < len(table(merged, "measurements.csv"))
    assert verify.main(merged) == 0
    assert "cpsample" in (merged / "leaderboard.html").read_text(encoding="utf-8")
    assert not list(tmp_path.glob(".tmp-*"))
    with pytest.raises(UserError, match="merged: is there already"):
        merge.main([here, there], merged)
    # and of another configuration
    board.set(TRACK, "evaluation.theory", {"epsilons": [0.2]})
    assert board.snakemake().returncode == 0
    with pytest.raises(UserError, match=r"two configurations: how\.epsilons is .* in .*, .* in "):
        merge.main([board.results, there], tmp_path / "never")
    assert not (tmp_path / "never").exists()


def forged(results: Path, name: str, change: Callable[[Path], object]) -> None:
    """Change a file of a board, and every record of its content."""
    file = results / "tiny" / name
    old = sha256(file)
    change(file)
    for other in results.rglob("*.json"):
        if old in other.read_text(encoding="utf-8"):
            tail = str(other.relative_to(results / "tiny"))
            forged(results, tail, lambda record: replace(record, old, sha256(file)))


def rewritten(file: Path, members: int) -> None:
    """A subset that says another number of members, and is otherwise the same."""
    spec, arrays = artefacts.spec_of(file), artefacts.read_npz(file)
    spec["subset"]["members"] = members
    artefacts.write_npz(file, spec, **arrays)


def scored(file: Path) -> None:
    """Scores that came out otherwise."""
    spec, scores = artefacts.spec_of(file), artefacts.read_table(file)
    scores["score"] *= 2
    artefacts.write_table(file, spec, scores)


REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "another subset": (
        "subset/images.npz",
        lambda file: rewritten(file, 21),
        r"subset/images\.npz: made under two configurations: subset\.members is 20 in .*, 21 in ",
    ),
    "the same cell with other numbers": (
        CELLS,
        lambda file: edit(file, lambda c: c["rows"][0].update(value=0.25)),
        r"loss/weights/seed0\.json: the same cell has two sets of numbers: auc of loss \(weights\) "
        r"on amg, seed 0: value: .* says 0\.\d+, .* says 0\.25",
    ),
    "the same file with other content": (
        SCORES,
        scored,
        r"base/seed0\.parquet: made under one configuration, and yet it differs between ",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_boards_that_contradict_each_other_are_refused_by_name(
    what: str, finished: Folder, results: Path, tmp_path: Path
) -> None:
    name, change, said = REFUSED[what]
    forged(results, name, change)
    with pytest.raises(UserError, match=said) as refused:
        merge.main([finished.results, results], tmp_path / "merged")
    assert str(finished.results) in str(refused.value)
    assert str(results) in str(refused.value)
    assert not (tmp_path / "merged").exists()


def test_a_board_whose_files_are_not_what_it_says_is_not_merged(
    finished: Folder, results: Path, tmp_path: Path
) -> None:
    scored(results / "tiny" / SCORES)
    with pytest.raises(UserError, match=r"parquet: not what it was; see `leakboard verify"):
        merge.main([results], tmp_path / "merged")
    (results / "tiny/records/rank.json").unlink()
    with pytest.raises(UserError, match=r"tiny: not a finished board, .* made by rank; finish it"):
        merge.main([finished.results, results], tmp_path / "merged")


def test_what_a_job_took_is_that_of_the_first_machine_and_said_where_it_is_compared(
    finished: Folder, results: Path, tmp_path: Path
) -> None:
    drawn = "perf/sample/none/plain/seed0/0-24.json"
    forged(results, drawn, lambda f: edit(f, lambda c: c.update(drawing_seconds=9.0)))
    merge.main([finished.results, results], tmp_path / "merged")
    one, both = (
        table(folder, "leaderboard.csv") for folder in (finished.results, tmp_path / "merged")
    )
    assert both == one  # the second brings nothing that is its own
    assert json.loads((tmp_path / "merged/tiny" / drawn).read_text())["drawing_seconds"] < 9


# --- report --------------------------------------------------------------------------------------


def test_the_report_of_snakemake_holds_page_tables_and_figures_with_captions(
    board: Folder,
) -> None:
    done = board.snakemake("--report", "report.zip")
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(board.path / "report.zip") as archive:
        held = [os.path.basename(name) for name in archive.namelist()]
        text = archive.read("report/report.html").decode()
        (page,) = (name for name in archive.namelist() if name.endswith("/leaderboard.html"))
        assert archive.read(page) == (board.results / "leaderboard.html").read_bytes()
    figures = [
        f"{n}.png" for n in ["samples", "neighbors", "roc", "similarity", "extraction", "loss"]
    ]
    named = ("measurements", "leaderboard", "trainings", "comparisons", "controls", "reported")
    tables = [f"{name}.csv" for name in named]
    assert sorted(held) == sorted(
        [*figures, *tables, *["preview.png"] * 10, "leaderboard.html", "report.html"]
    )
    for words in (
        "The boards of all tracks",
        "The first pictures that cpsample draws on track tiny",
        "one row for each defense",
        "Two equal rows are copies",
    ):
        assert words.lower() in text.lower(), words
