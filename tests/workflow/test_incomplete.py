"""What fails leaves a board of what there is, a reason in each gap; repaired, a whole one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from conftest import Folder

ATTACK, DEFENSE = "attacks/pia.py", "defenses/cpsample.py"
BROKEN = """


def _broken(*args: object) -> None:
    from leakboard.errors import UserError

    raise UserError("{}")


{}.{} = _broken
"""
FOLDER = "incomplete"


def rows(board: Folder, folder: str = "") -> pd.DataFrame:
    """The table of a board, as text."""
    file = board.results / folder / "tiny/measurements.csv"
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def test_what_fails_is_said_in_its_cells_and_a_repaired_run_ends_with_a_whole_board(
    finished: Folder, board: Folder
) -> None:
    library = board.path / "workflow/leakboard"
    sources = {name: (library / name).read_text(encoding="utf-8") for name in (ATTACK, DEFENSE)}
    board.append(f"workflow/leakboard/{ATTACK}", BROKEN.format("no noise left", "Attack", "score"))
    board.append(f"workflow/leakboard/{DEFENSE}", BROKEN.format("no guard", "Defense", "guard"))
    complete = (board.results / "leaderboard.html").read_bytes()
    done = board.snakemake("--keep-going")
    assert done.returncode == 1, done.stdout
    said = " cells lack their numbers; what there is: results/incomplete/leaderboard.html"
    assert said in done.stdout, done.stdout
    assert "no board of what there is" not in done.stdout
    assert "Traceback" not in done.stdout

    there, whole = rows(board, FOLDER), rows(finished)
    lacking = there[there["status"].isin(["failed", "missing"])]
    own = lacking["defense"] == "cpsample"
    assert (own | (lacking["attack"] == "pia")).all()
    drawn = {"copy_rate:pixels", "fid:local-classifier", "memorization_metric@0.1:pixels"}
    assert drawn <= set(lacking.loc[own, "metric"])
    queried = lacking[own & lacking["sees"].isin(["predictor", "images"])]
    assert set(queried["attack"]) == {"loss", "one-step"}
    assert queried["note"].str.endswith(" cpsample (tiny, seed 0) failed: no guard").all()
    asked = set(whole.loc[whole["attack"] == "pia", "defense"])
    assert set(lacking.loc[lacking["attack"] == "pia", "defense"]) == asked
    assert lacking["note"].str.endswith(("failed: no noise left", "failed: no guard")).all()
    assert (lacking[["value", "ci_low", "ci_high", "n"]] == "").all(axis=None)
    # All else is there, other cells of the same jobs too, to the last digit.
    rest = there.drop(lacking.index).reset_index(drop=True)
    kept = whole[~whole["digest"].isin(lacking["digest"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, kept)
    assert ((rest["attack"] == "loss") & (rest["sees"] == "predictor")).any()

    page = (board.results / FOLDER / "leaderboard.html").read_text(encoding="utf-8")
    assert "no noise left" in page
    verdict = (board.results / FOLDER / "tiny/verdict.json").read_text(encoding="utf-8")
    assert '"complete": false' in verdict
    text = (board.results / FOLDER / "tiny/leaderboard.md").read_text(encoding="utf-8")
    assert text.startswith("**INVALID**")  # which says more than incomplete
    assert "cells: attack pia weights base (tiny, seed 0) failed: no noise left" in text
    # The whole board of before is as it was, and nothing takes the new one for it.
    assert (board.results / "leaderboard.html").read_bytes() == complete

    before = board.contents()
    command = [sys.executable, "-m", "leakboard.cli", "board", "--cores", "2"]
    by_hand = subprocess.run(
        command, cwd=board.path, env=board.env, capture_output=True, text=True, timeout=120
    )
    assert by_hand.returncode == 0, by_hand.stderr
    assert said in by_hand.stdout
    assert board.contents() == before

    for name, text in sources.items():
        (library / name).write_text(text, encoding="utf-8")
    done = board.snakemake()
    assert done.returncode == 0, done.stdout
    assert not (board.results / FOLDER).exists()
    for name in ("measurements.csv", "measurements.parquet"):
        assert (board.board / name).read_bytes() == (finished.board / name).read_bytes(), name
    timed = ["training_seconds", "sampling_seconds", "sampling_ratio", "peak_memory_mb"]
    boards = (pd.read_csv(folder.board / "leaderboard.csv") for folder in (board, finished))
    one, other = (table.drop(columns=timed) for table in boards)
    pd.testing.assert_frame_equal(one, other)
    assert board.jobs() == set()
