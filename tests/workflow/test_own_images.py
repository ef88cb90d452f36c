"""Somebody's own pictures: a folder and one file in config/tracks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

if TYPE_CHECKING:
    from conftest import Folder

TRACK = """\
extends: tiny
about: Which of my photographs leak?
dataset: {method: folder, params: {path: photos}, crop: square, size: 8}
subset: {members: 20, held_out: 20, files: {members: "mine/*", held_out: "others/*"}}
"""


def photographs(path: Path) -> None:
    """61 pictures of several sizes and kinds, the last a copy of the first, and their captions."""
    rng = np.random.default_rng(0)
    said = ["file,caption"]
    for k in range(60):
        pixels = rng.integers(0, 256, (9 + k % 3, 12, 3), dtype=np.uint8)
        name = f"{('mine', 'others')[k % 2] if k < 50 else 'rest'}/{k:02}.png"
        image = Image.fromarray(pixels).convert(("RGB", "L", "RGBA", "P")[k % 4])
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(path / name)
        said.append(f'{name},"No. {k}, NA"')
    shutil.copy(path / "mine/00.png", path / "rest/copy.png")
    said.append("rest/copy.png,NA")
    (path / "captions.csv").write_text("\n".join(said), encoding="utf-8")


def test_a_folder_of_pictures_becomes_a_track_with_one_file(
    sources: Folder, tmp_path: Path
) -> None:
    shutil.copytree(sources.path, tmp_path / "there", ignore=shutil.ignore_patterns(".git"))
    there = type(sources)(tmp_path / "there")
    photographs(there.path / "photos")
    (there.path / "config/tracks/photos.yaml").write_text(TRACK, encoding="utf-8")
    there.set("config/config.yaml", "tracks", ["photos"])
    assert "subset photos" in there.jobs()
    done = there.snakemake("results/photos/subset/split.csv")
    assert done.returncode == 0, done.stdout
    table = pd.read_csv(there.results / "photos/subset/split.csv", keep_default_na=False)
    names = pd.read_csv(there.results / "photos/subset/names.csv", keep_default_na=False)
    assert table["index"].tolist() == names["index"].tolist() == list(range(61))
    assert "file" not in table  # a split may leave the machine, a name may not
    with np.load(there.results / "photos/subset/images.npz") as subset:
        assert subset["images"].shape == (61, 8, 8, 3)
    counts = table["pool"].value_counts().to_dict()
    assert counts == {"members": 20, "held-out": 20, "reference": 20, "dropped": 1}
    folders = names["file"].str.partition("/")[0]
    assert set(folders[table["pool"] == "members"]) == {"mine"}
    assert set(folders[table["pool"] == "held-out"]) == {"others"}
    assert names.loc[table["pool"] == "dropped", "file"].tolist() == ["rest/copy.png"]
    for file, caption in zip(names["file"], names["caption"], strict=True):
        name = Path(file).stem
        assert caption == ("NA" if name == "copy" else f"No. {int(name)}, NA")
    log = (there.results / "logs/subset/photos.log").read_text(encoding="utf-8")
    assert "61 images, 1 dropped as duplicates of others" in log
