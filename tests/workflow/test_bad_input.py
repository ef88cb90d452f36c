"""What goes wrong is said in one message with file and key, and no finished result is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from conftest import Folder

SHARED, TRACK = "config/config.yaml", "config/tracks/tiny.yaml"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def refused(board: Folder, message: str, *targets: Path, lost: str = "") -> str:
    """What a run says that fails with `message` (once) and loses no file but those in `lost`.

    `lost` are parts of their names, with spaces between them.
    """
    before = board.contents()
    done = board.snakemake(*(str(file.relative_to(board.path)) for file in targets))
    assert done.returncode == 1, done.stdout
    assert done.stdout.count(message) == 1, done.stdout
    assert "Traceback" not in done.stdout
    after = board.contents()
    changed = {name for name in before if after.get(name) != before[name]}
    assert {name for name in changed if not any(part in name for part in lost.split())} == set()
    return done.stdout


@pytest.mark.parametrize(
    ("file", "keys", "value", "message"),
    [
        (
            SHARED,
            "defenses.cpsample.strength",
            1.0,
            "config/config.yaml: defenses.cpsample.strength: unknown key; known: caveat, ",
        ),
        (
            SHARED,
            "trakcs",
            ["tiny"],
            "config/config.yaml: trakcs: unknown key; did you mean 'tracks'?",
        ),
        (
            TRACK,
            "evaluation.calibraton",
            0.1,
            "config/tracks/tiny.yaml: evaluation.calibraton: unknown key; did you mean "
            "'calibration'?",
        ),
        (
            SHARED,
            "defenses.cpsample.params.alpha",
            0.7,
            "defenses.cpsample.params.alpha: Input should be less than or equal to 0.5, got 0.7",
        ),
        (
            TRACK,
            "subset.members",
            1790,
            "config/tracks/tiny.yaml: subset: members + held_out = 1850, but dataset 'digits' has "
            "1797 images; ask for fewer",
        ),
        (
            TRACK,
            "evaluation.neighbors",
            21,
            "config/tracks/tiny.yaml: evaluation.neighbors: 21 neighbors among 20 members",
        ),
        (SHARED, "defenses.none.denoisers", ["bas"], "no network 'bas'; did you mean 'base'?"),
    ],
)
def test_a_wrong_configuration_stops_before_any_job(
    file: str, keys: str, value: Any, message: str, board: Folder
) -> None:
    board.set(file, keys, value)
    said = refused(board, message)
    assert "leakboard: " not in said  # no job has begun
    assert said.count("WorkflowError") == 1


def test_too_many_images_for_a_subset_without_near_duplicates_is_said_by_its_job(
    board: Folder,
) -> None:
    board.set(TRACK, "subset.held_out", 1777)  # 1797 images, but not without near-duplicates
    message = "subset: members + held_out = 1797, but the dataset has 1797 images, "
    refused(board, message, board.board / "subset/split.csv", lost="subset/")


def test_an_image_that_cannot_be_decoded_is_named(board: Folder) -> None:
    folder = board.path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(90):
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:03d}.png")
    whole = (folder / "050.png").read_bytes()
    (folder / "050.png").write_bytes(whole[: len(whole) // 2])
    params = {"path": "pictures", "grayscale": True}
    board.set(TRACK, "dataset", {"method": "folder", "params": params})
    message = "pictures/050.png: not an image that can be decoded"
    refused(board, message, board.board / "subset/split.csv", lost="subset/")


def test_a_loss_that_is_not_finite_stops_the_training_and_its_curve_can_be_looked_at(
    board: Folder,
) -> None:
    settings = {"steps": 400, "lr": 1e30, "gradient_clip": 1e30}
    board.set(TRACK, "networks.pretrained.training", settings)
    message = "networks.pretrained of track tiny: the loss is nan at step"
    said = refused(board, message, board.network("pretrained") / WEIGHTS, lost="/pretrained")
    assert "training.lr (1e+30)" in said
    _, told, rest = said.partition("the curve so far is in ")
    assert not told or (board.path / rest.split()[0]).exists(), rest.split()[0]


@pytest.mark.parametrize(
    ("damaged", "needed", "lost"),
    [
        (f"networks/base/seed0/{WEIGHTS}", "samples/none/plain/seed0/0-24.npz", "sample"),
        (f"networks/pretrained/seed0/{WEIGHTS}", f"networks/base/seed0/{WEIGHTS}", "base"),
        ("samples/none/plain/seed0/0-24.npz", "features/pixels/none/plain/seed0.npz", ""),
        (
            "scores/pia/weights/base/seed0.parquet",
            "measurements/membership/pia/weights/seed0.json",
            "",
        ),
        (
            "measurements/describe/pixels.json",
            "measurements.csv",
            "tiny/measurements.parquet tiny/records/gather.json",
        ),
    ],
)
def test_a_file_that_was_cut_short_is_named(
    damaged: str, needed: str, lost: str, board: Folder
) -> None:
    file = board.board / damaged
    os.truncate(file, file.stat().st_size // 2)
    (board.board / needed).unlink()
    refused(board, f"results/tiny/{damaged}: ", board.board / needed, lost=lost)


def test_a_network_of_another_configuration_is_refused_by_name(board: Folder) -> None:
    for file in board.network("pretrained").iterdir():
        shutil.copyfile(file, board.network("base") / file.name)
    shard = board.shard("none")
    shard.unlink()
    message = f"results/tiny/networks/base/seed0/{WEIGHTS}: made by another configuration"
    said = refused(board, message, shard, lost="sample")
    assert "remove the folder and run again" in said
