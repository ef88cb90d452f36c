"""Work that several jobs share: any number of them gives the same, and nothing is done twice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from conftest import Folder

TRACK = "config/tracks/tiny.yaml"


def made(board: Folder, *targets: Path) -> None:
    """Make these files."""
    done = board.snakemake(*(str(file.relative_to(board.path)) for file in targets))
    assert done.returncode == 0, done.stdout


def batches(board: Folder, rule: str, rest: str) -> tuple[int, int]:
    """How many batches the job of a log made, and how many it found."""
    text = (board.results / "logs" / rule / "tiny" / f"{rest}.log").read_text(encoding="utf-8")
    found = re.findall(r"^batches: (\d+) made, (\d+) found of earlier jobs$", text, re.MULTILINE)
    return int(found[-1][0]), int(found[-1][1])


def images(shards: Iterable[Path]) -> np.ndarray:
    return np.concatenate([np.load(shard)["images"] for shard in shards])


def test_another_number_of_shards_draws_nothing_and_more_images_only_themselves(
    board: Folder,
) -> None:
    before = images([board.shard("cpsample")])
    board.set(TRACK, "shards", 3)
    three = [board.shard("cpsample", name) for name in ("0-8", "8-16", "16-24")]
    made(board, *three)
    for shard in three:
        assert batches(board, "sample", f"cpsample/plain/seed0/{shard.stem}") == (0, 1)
    np.testing.assert_array_equal(images(three), before)
    assert not board.shard("cpsample").exists()  # nothing reads it any more
    three[0].unlink()  # it is lost, and the other two are there
    board.set(TRACK, "shards", 2)
    board.set(TRACK, "sampling.images", 40)
    two = [board.shard("cpsample", name) for name in ("0-16", "16-40")]
    made(board, *two)
    assert batches(board, "sample", "cpsample/plain/seed0/0-16") == (1, 1)
    assert batches(board, "sample", "cpsample/plain/seed0/16-40") == (2, 1)
    np.testing.assert_array_equal(images(two)[:24], before)


def test_another_defense_or_other_code_finds_nothing_of_what_was_drawn(board: Folder) -> None:
    board.set(TRACK, "shards", 2)
    board.append("workflow/leakboard/defenses/cpsample.py", "# A remark that changes no number.")
    made(board, board.shard("cpsample", "0-8"))
    assert batches(board, "sample", "cpsample/plain/seed0/0-8") == (1, 0)
    board.set("config/config.yaml", "defenses.cpsample.params.scale", 2.0)
    made(board, board.shard("cpsample", "8-24"))
    assert batches(board, "sample", "cpsample/plain/seed0/8-24") == (2, 0)


def test_attacks_and_features_are_the_same_to_the_bit_for_any_number_of_shards(
    board: Folder,
) -> None:
    source = board.path / "workflow/leakboard/ranges.py"
    text = source.read_text(encoding="utf-8")
    assert "AUDITED = 250 " in text
    source.write_text(text.replace("AUDITED = 250 ", "AUDITED = 20 "), encoding="utf-8")
    scores = board.board / "scores/pia/weights/base/seed0.parquet"
    features = board.board / "features/local-classifier/amg/plain/seed0.npz"
    made(board, scores, features)
    before = [file.read_bytes() for file in (scores, features)]
    assert batches(board, "attack", "pia/weights/base/seed0") == (4, 0)
    board.set(TRACK, "shards", 3)
    made(board, scores, features)  # of the scores that are there
    assert [file.read_bytes() for file in (scores, features)] == before
    assert batches(board, "attack_shard", "pia/weights/base/seed0/20-40") == (0, 1)
    for file in (scores, *board.board.glob("scores/*/*/*/seed0/*.npz")):
        file.unlink()
    made(board, scores)
    assert scores.read_bytes() == before[0]
    assert batches(board, "attack_shard", "pia/weights/base/seed0/40-80") == (2, 0)
    board.set(TRACK, "shards", 1)
    made(board, scores)
    assert scores.read_bytes() == before[0]
    assert batches(board, "attack", "pia/weights/base/seed0") == (0, 4)


def test_a_drawing_that_was_killed_goes_on(board: Folder) -> None:
    source = board.path / "workflow/leakboard/kept.py"
    text = source.read_text(encoding="utf-8")
    assert "SECONDS = 15 " in text
    source.write_text(text.replace("SECONDS = 15 ", "SECONDS = 0 "), encoding="utf-8")
    board.set(TRACK, "sampling.images", 4000)
    target, before = board.shard("none", "0-4000"), images([board.shard("none")])
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock"]
    command.append(str(target.relative_to(board.path)))
    kept = board.board / "checkpoints/sample/none/plain/seed0"
    with (board.path / "out.txt").open("w") as out:
        run = subprocess.Popen(
            command,
            cwd=board.path,
            env=board.env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        end = time.monotonic() + 90
        while len(list(kept.glob("[!.]*.npz"))) < 3:
            assert time.monotonic() < end, (board.path / "out.txt").read_text()
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(60)
    assert not target.exists()
    made(board, target)
    new, found = batches(board, "sample", "none/plain/seed0/0-4000")
    assert found >= 3
    assert new + found == 500
    assert not list(kept.glob("*.npz"))
    np.testing.assert_array_equal(images([target])[:24], before)
