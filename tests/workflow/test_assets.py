"""What a configuration reads from outside, on a machine that has neither it nor a network."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import stand_ins
from leakboard import assets, datasets, plugins, stocking
from leakboard.errors import UserError
from leakboard.files import sha256

if TYPE_CHECKING:
    from conftest import Folder

SHARED, TRACK = "config/config.yaml", "config/tracks/tiny.yaml"
OFFLINE = """import os, socket, sys

def refused(self, address, real=socket.socket.connect):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        note("tried")
        raise OSError(f"no network: {address}")
    return real(self, address)

def unknown(host, *args, **more):
    note("asked")
    raise OSError(f"no network: {host}")

def note(what):
    with open(os.environ["OFFLINE_LOG"], "a") as file:
        print(what, os.getpid(), *sys.argv[:2], file=file)

socket.socket.connect = socket.socket.connect_ex = refused
socket.getaddrinfo = socket.create_connection = unknown
note("began")
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own."""
    monkeypatch.setenv(assets.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def images(path: Path) -> Path:
    """The digits as somebody's own file."""
    found, labels = plugins.load("datasets", "digits", {}).load()
    path.parent.mkdir(parents=True)
    np.savez_compressed(path, images=found, labels=labels)
    return path


def test_a_file_and_a_folder_are_read_from_the_cache_where_their_paths_are_not(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = images(tmp_path / "own/data.npz")
    from PIL import Image

    for name in ("a/1.png", "b/2.png"):
        (tmp_path / "own/faces" / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4), (name[0] == "a" and "red") or "blue").save(
            tmp_path / "own/faces" / name
        )
    loads = [
        lambda: datasets.load("npz", {"path": "own/data.npz"})[:2],
        lambda: datasets.load("folder", {"path": "own/faces"})[:2],
    ]
    before = [load() for load in loads]
    stocking.export(["own/data.npz", "own/faces"], tmp_path / "all.tar")
    (tmp_path / "own").rename(tmp_path / "gone")
    with pytest.raises(UserError, match="no images in 'own/faces'"):
        loads[1]()
    stocking.import_(tmp_path / "all.tar")
    for (pixels, labels), (again, same) in zip(before, [load() for load in loads], strict=True):
        assert np.array_equal(pixels, again)
        assert np.array_equal(labels, same)
    content = hashlib.sha256((tmp_path / "gone/data.npz").read_bytes()).hexdigest()
    assert assets.place("own/data.npz") == cache / "assets" / content
    assert data.name not in {file.name for file in cache.rglob("*")}
    stocking.import_(tmp_path / "all.tar")  # once more changes nothing
    assert len(list((cache / "assets").iterdir())) == len(list((cache / "names").iterdir())) == 2
    assert {file.name for file in cache.iterdir()} == {"assets", "names"}
    # what is exported from the cache is the same archive
    stocking.export(["own/data.npz", "own/faces"], tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "all.tar").read_bytes()
    (cache / "assets" / content).chmod(0o644)  # nobody writes there by mistake
    (cache / "assets" / content).write_bytes(b"other")
    with pytest.raises(UserError, match=r"not what own/data\.npz was; remove it and import"):
        loads[0]()


def test_an_archive_of_assets_that_is_not_what_it_says_is_refused(
    cache: Path, tmp_path: Path
) -> None:
    from leakboard import archives

    said: dict[str, Any] = {"kind": stocking.KIND, "assets": {"data": "0" * 64}}
    archives.pack(tmp_path / "forged.tar", {"0" * 64: b"other"}, said)
    with pytest.raises(UserError, match="data: not what its name says"):
        stocking.import_(tmp_path / "forged.tar")
    said["assets"] = {"data": "../up"}
    archives.pack(tmp_path / "up.tar", {"0" * 64: b"other"}, said)
    with pytest.raises(UserError, match="data: not what its name says"):
        stocking.import_(tmp_path / "up.tar")
    archives.pack(tmp_path / "other.tar", {"a": b""}, {"kind": "toy"})
    with pytest.raises(UserError, match="holds no assets"):
        stocking.import_(tmp_path / "other.tar")
    assert list(cache.iterdir()) == []
    with pytest.raises(UserError, match="nowhere: not there"):
        stocking.export([str(tmp_path / "nowhere")], tmp_path / "no.tar")


def smallest(content: dict[str, Any]) -> None:
    """The undefended model and little else, fine-tuned from somebody's weights."""
    kept = {
        "networks": ("base", "local-classifier"),
        "defenses": ("none",),
        "attacks": ("loss", "blind"),
    }
    for section, names in kept.items():
        content[section] = {name: content[section][name] for name in names}
    content["networks"]["base"]["init"] = "own/weights"


def foreign(content: dict[str, Any]) -> None:
    """The track, on somebody's own images, of which a published model and descriptor are told."""
    content["dataset"] = {"method": "npz", "params": {"path": "own/data.npz"}}
    content["evaluation"].pop("theory")
    for section in (content, content["sampling"]):
        section.pop("shards", None)
    names = ("base", "local-classifier")
    content["networks"] = {name: content["networks"][name] for name in names}
    content["architecture"]["denoiser"] = {"init": "own/weights", "dropout": 0.1}
    params = {"weights": "own/sscd.pt", "sha256": "?"}
    content["extractors"] = {"own-sscd": {"method": "sscd", "params": params}}
    content["evaluation"]["extractors"] = ["pixels", "own-sscd"]


def weights(folder: Path) -> None:
    """A network as diffusers publishes it: a pipeline, with settings that are not usual."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    unet = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=8,
        flip_sin_to_cos=False,
        norm_eps=1e-6,
    )
    DDPMPipeline(unet=unet, scheduler=DDPMScheduler()).save_pretrained(folder)


def test_a_whole_board_needs_no_network_and_reads_the_cache(
    sources: Folder, tmp_path: Path
) -> None:
    shutil.copytree(sources.path, tmp_path / "there", ignore=shutil.ignore_patterns(".git"))
    there = type(sources)(tmp_path / "there")
    there.change(SHARED, smallest)
    there.change(TRACK, foreign)
    images(there.path / "own/data.npz")
    weights(there.path / "own/weights")
    stand_ins.sscd_script(there.path / "own/sscd.pt")
    there.env[assets.CACHE] = str(tmp_path / "cache")

    def leakboard(*args: str) -> str:
        command = [sys.executable, "-m", "leakboard.cli", *args]
        done = subprocess.run(
            command, cwd=there.path, env=there.env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = leakboard("assets", "list").splitlines()
    names = ["own/data.npz", "own/sscd.pt", "own/weights"]
    assert [line.split(":")[0] for line in listed] == names
    assert all(line.endswith(", here") for line in listed)
    refused = there.snakemake("-n")
    assert "extractors.own-sscd.params.weights: 'own/sscd.pt' has SHA-256" in refused.stdout
    params = "extractors.own-sscd.params"
    there.set(TRACK, f"{params}.sha256", sha256(there.path / "own/sscd.pt"))
    leakboard("assets", "export", "assets.tar")
    shutil.rmtree(there.path / "own")
    leakboard("assets", "import", "assets.tar")
    cached = leakboard("assets", "list").splitlines()
    assert [line.rpartition(",")[0] for line in cached] == [
        line.rpartition(",")[0] for line in listed
    ]
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline/sitecustomize.py").write_text(OFFLINE, encoding="utf-8")
    there.env["PYTHONPATH"] += f":{tmp_path / 'offline'}"
    there.env["OFFLINE_LOG"] = str(tmp_path / "offline.log")
    done = there.snakemake()
    assert done.returncode == 0, done.stdout
    assert (there.results / "leaderboard.html").is_file()
    rows = (there.board / "measurements.csv").read_text(encoding="utf-8")
    assert "own-sscd" in rows  # every number says whose eyes it saw with
    config = json.loads((there.network("base") / "config.json").read_text(encoding="utf-8"))
    assert (config["norm_eps"], config["dropout"]) == (1e-6, 0.1)
    noted = [line.split()[0] for line in (tmp_path / "offline.log").read_text().splitlines()]
    assert noted.count("began") > 15  # the workflow and its jobs
    assert set(noted) == {"began"}, (tmp_path / "offline.log").read_text()
