"""A board between machines: packed into one file, opened elsewhere, the same there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakboard import artefacts, boards, bundle, merge, stamps, verify
from leakboard.errors import UserError

if TYPE_CHECKING:
    from conftest import Folder

TABLES = [
    *("measurements.csv", "comparisons.csv", "controls.csv", "leaderboard.csv", "leaderboard.md"),
    *("trainings.csv", "reported.csv", "verdict.json"),
]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute as jobs do: several threads add up in another order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def packed(finished: Folder, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The finished board as a bundle, without pictures and with them."""
    folder = tmp_path_factory.mktemp("bundles")
    files = {pictures: folder / f"{pictures}.tar.gz" for pictures in (False, True)}
    for pictures, file in files.items():
        bundle.main(finished.results, file, pictures=pictures)
    return files


def same(one: Path, other: Path) -> None:
    """Both boards say the same, to the last byte of every table."""
    for name in TABLES:
        assert (one / "tiny" / name).read_bytes() == (other / "tiny" / name).read_bytes(), name
    assert stamps.check(one) == stamps.check(other)


def test_a_bundle_with_pictures_is_the_board_again(
    finished: Folder, packed: dict[bool, Path], tmp_path: Path
) -> None:
    merge.main([packed[True]], tmp_path / "opened")
    same(tmp_path / "opened", finished.results)
    page = "leaderboard.html"
    assert (tmp_path / "opened" / page).read_bytes() == (finished.results / page).read_bytes()
    track = verify.Track(tmp_path / "opened", "tiny").verify()
    assert (track.differences, track.skipped) == ([], {})


def test_a_bundle_without_pictures_is_merged_and_says_what_cannot_be_computed_again(
    finished: Folder, packed: dict[bool, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    merge.main([packed[False]], tmp_path / "opened")
    assert "without figures, for a bundle without pictures" in capsys.readouterr().out
    same(tmp_path / "opened", finished.results)
    capsys.readouterr()
    assert verify.main(tmp_path / "opened") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(" files: verified")
    assert re.search(r"not computed again: copying \(\d+\), describe \(1\), ", second)
    assert "membership" not in second  # its scores are there
    assert second.endswith(f"was left out: {tmp_path / 'opened/tiny' / boards.LEFT_OUT}")
    # what is there is looked at, and what was left out by nobody is missed
    scores = tmp_path / "opened/tiny/scores/loss/weights/base/seed0.parquet"
    scores.unlink()
    assert verify.main(tmp_path / "opened") == 1
    assert f"{scores}: missing; " in capsys.readouterr().out
    # a board of it can be packed and merged again
    bundle.main(finished.results, tmp_path / "whole.tar.gz", ["tiny"])
    merge.main([packed[False], tmp_path / "whole.tar.gz", packed[True]], tmp_path / "all")
    same(tmp_path / "all", finished.results)
    assert verify.Track(tmp_path / "all", "tiny").verify().skipped == {}


def test_no_picture_is_in_a_bundle_unless_asked_for(
    finished: Folder, packed: dict[bool, Path]
) -> None:
    held = {}
    for pictures, file in packed.items():
        with tarfile.open(file) as archive:
            held[pictures] = set(archive.getnames())
    left = held[True] - held[False]
    assert {"results/tiny/subset/images.npz", "results/leaderboard.html"} <= left
    # file names and captions are as private, and nothing rests on them
    assert "results/tiny/subset/names.csv" not in held[True]
    for name in held[False] - {"manifest.json"}:
        assert Path(name).suffix in {".json", ".csv", ".md", ".parquet", ".yaml"}, name
    never = ("networks/base/seed0/diffusion", "checkpoints", "logs", "preview", ".safetensors")
    assert not [name for name in held[True] for word in never if word in name]
    assert {"config/config.yaml", "config/tracks/tiny.yaml"} <= held[False]


def test_a_manifest_says_which_configuration_made_the_board(
    finished: Folder, packed: dict[bool, Path]
) -> None:
    with tarfile.open(packed[False]) as archive:
        content = archive.extractfile("manifest.json")
        assert content is not None
        said = json.load(content)
    record = artefacts.read_json(finished.board / "records/rank.json")
    assert said["digests"]["tiny"]["rank"] == artefacts.digest(record["spec"])
    assert (said["kind"], said["pictures"]) == ("leakboard bundle 1", False)
    assert said["leakboard"]
    assert all(len(found) == 64 for _, found in said["files"].values())


def test_what_cannot_be_packed_or_opened_is_said(
    finished: Folder, packed: dict[bool, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="is there already"):
        bundle.main(finished.results, packed[True])
    with pytest.raises(UserError, match="no track 'tinny' in it; known: tiny"):
        bundle.main(finished.results, tmp_path / "no.tar.gz", ["tinny"])
    shutil.copytree(finished.results, tmp_path / "results")
    scores = tmp_path / "results/tiny/scores/loss/weights/base/seed0.parquet"
    scores.write_bytes(b"other")
    with pytest.raises(UserError, match=r"parquet: not what it was; see `leakboard verify --root "):
        bundle.main(tmp_path / "results", tmp_path / "no.tar.gz")
    (tmp_path / "results/tiny/records/rank.json").unlink()
    with pytest.raises(UserError, match="not a finished board, for it lacks what is made by rank"):
        bundle.main(tmp_path / "results", tmp_path / "no.tar.gz")
    with pytest.raises(UserError, match=r"nowhere: not there; expected a results folder or a bund"):
        merge.main([tmp_path / "nowhere"], tmp_path / "never")
    assert not list(tmp_path.glob("*no.tar.gz"))
    assert not (tmp_path / "never").exists()


def test_the_command_line_packs_and_opens_a_board(finished: Folder, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "leakboard.cli"]

    def said(*args: str) -> tuple[int, str]:
        done = subprocess.run(
            [*command, *args], cwd=tmp_path, env=finished.env, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    code, text = said("bundle", "board.tar.gz", "--root", str(finished.results))
    assert (code, text.count("\n")) == (0, 1), text
    assert text.startswith("board.tar.gz: tiny: ")
    assert "without pictures; `leakboard merge board.tar.gz --to FOLDER` opens it" in text
    (tmp_path / "broken.tar.gz").write_bytes((tmp_path / "board.tar.gz").read_bytes()[:9999])
    code, text = said("merge", "broken.tar.gz", "--to", "opened")
    assert (code, text.count("\n")) == (1, 1), text
    assert text.startswith("leakboard: broken.tar.gz: cannot be unpacked")
