"""Pretrained denoisers: diffusers folders as others publish them, fine-tuned as they were built."""

from __future__ import annotations

import inspect
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from leakboard import assets, folders, networks, resolve
from leakboard.config import Noise, Resolved
from leakboard.errors import UserError

ROOT = Path(__file__).parents[2]
DDPM: dict[str, Any] = {  # small, and with the settings in which google/ddpm-cifar10-32 is unusual
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "attention_head_dim": None,
}


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(assets.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def published(folder: Path, **scheduler: Any) -> Path:
    """A pipeline as diffusers writes it: unet/, scheduler/, model_index.json."""
    torch.manual_seed(0)
    pipeline = DDPMPipeline(unet=UNet2DModel(**DDPM), scheduler=DDPMScheduler(**scheduler))
    pipeline.save_pretrained(folder)
    return folder


def flat(folder: Path) -> Path:
    """The same as one folder, with the weights' names of before 2023, as the oldest models are."""
    published(folder)
    for file in (*folder.glob("unet/*"), *folder.glob("scheduler/*")):
        file.rename(folder / file.name)
    state = safetensors.torch.load_file(folder / folders.WEIGHTS)
    for new, old in {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value."}.items():
        state = {key.replace(new, old): value for key, value in state.items()}
    state = {key.replace(".to_out.0.", ".proj_attn."): value for key, value in state.items()}
    assert any(".proj_attn." in key for key in state)
    safetensors.torch.save_file(state, folder / folders.WEIGHTS)
    return folder


def board(init: str, denoiser: dict[str, Any] | None = None, **noise: Any) -> Resolved:
    """The default track, whose first denoiser starts from a folder."""
    shared = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    shared["tracks"] = ["own"]
    shared["networks"]["pretrained"]["init"] = init
    track = yaml.safe_load((ROOT / "config/tracks/digits.yaml").read_text(encoding="utf-8"))
    track["architecture"]["denoiser"] = denoiser or {"init": init}
    track["noise"] = noise
    place = Path(assets.cache().parent)
    (place / "config/tracks").mkdir(parents=True, exist_ok=True)
    (place / "config/tracks/own.yaml").write_text(yaml.safe_dump(track), encoding="utf-8")
    return resolve.read(shared, "config/config.yaml", [place])["own"]


def test_the_settings_that_a_folder_may_leave_out_are_those_of_diffusers() -> None:
    known = inspect.signature(UNet2DModel.__init__).parameters
    sizes = {"self", "sample_size", "in_channels", "out_channels"}
    classes = {"class_embed_type", "num_class_embeds", "num_train_timesteps"}
    assert known.keys() - folders.DEFAULTS.keys() == sizes | classes
    for key, value in folders.DEFAULTS.items():
        default = known[key].default
        assert (list(default) if isinstance(default, tuple) else default) == value, key


@pytest.mark.parametrize("form", [published, flat])
def test_a_folder_is_fine_tuned_as_it_was_built(form: Any, tmp_path: Path) -> None:
    folder = form(tmp_path / "model")
    own = board(str(folder)).track.architecture.denoiser
    assert own["norm_eps"] == 1e-6
    assert own["freq_shift"] == 1
    net = networks.build("denoiser", own, 8, 1).eval()
    networks.start_from(net, folders.weights(str(folder)).parent)
    theirs = UNet2DModel.from_pretrained(folders.network(folder)).eval()
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 700])
    with torch.no_grad():
        assert torch.equal(net(x, t).sample, theirs(x, t).sample)


def test_what_a_track_says_besides_goes_before_what_the_folder_says(tmp_path: Path) -> None:
    folder = published(tmp_path / "model")
    made = board(str(folder), {"init": str(folder), "dropout": 0.1})
    assert made.track.architecture.denoiser["dropout"] == 0.1
    assert made.track.architecture.denoiser["block_out_channels"] == [32, 64]


def test_a_network_built_otherwise_is_refused_in_one_message(tmp_path: Path) -> None:
    folder = published(tmp_path / "model")
    same_shapes = {key: DDPM[key] for key in DDPM if key.endswith(("types", "channels"))}
    del same_shapes["in_channels"], same_shapes["out_channels"]
    own = {**same_shapes, "block_out_channels": [32, 64], "layers_per_block": 1}
    own |= {key: list(own[key]) for key in own if key.endswith("types")}
    with pytest.raises(UserError) as refused:
        board(str(folder), own)
    (line,) = str(refused.value).split("\n")
    assert line.startswith("config/config.yaml or config/tracks/own.yaml: networks.pretrained.init")
    assert "norm_eps (1e-06 there, 1e-05 here)" in line
    assert "attention_head_dim (None there, 8 here)" in line
    assert f"`architecture: {{denoiser: {{init: {folder}}}}}`" in line


def test_a_network_that_learned_other_noise_is_refused(tmp_path: Path) -> None:
    folder = published(tmp_path / "model", beta_schedule="squaredcos_cap_v2")
    wanted = r"other noise than the track's `noise`: beta_schedule \(squaredcos_cap_v2 there"
    with pytest.raises(UserError, match=wanted):
        board(str(folder))
    with pytest.raises(UserError, match=r"num_train_timesteps \(1000 there, 500 here\)"):
        board(str(flat(tmp_path / "other")), steps=500)
    target = published(tmp_path / "third", prediction_type="v_prediction")
    found = list(folders.problems(str(target / "unet"), folders.architecture(str(target)), Noise()))
    assert len(found) == 1
    assert "prediction_type (v_prediction there, epsilon here)" in found[0]


def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    folder = published(tmp_path / "model") / "unet"
    torch.save(safetensors.torch.load_file(folder / folders.WEIGHTS), folder / folders.PICKLE)
    (folder / folders.WEIGHTS).unlink()
    with pytest.raises(UserError, match="a pickle, which is code and is not read") as refused:
        board(str(tmp_path / "model"))
    command = shlex.split(str(refused.value).partition("convert it: ")[2].split("\n")[0])
    assert command[0] == "python"
    subprocess.run([sys.executable, *command[1:]], check=True, capture_output=True, timeout=120)
    assert board(str(tmp_path / "model")).networks["pretrained"].init


def test_a_folder_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"config\.json: not there; expected a diffusers folder"):
        board(str(tmp_path / "empty"))
    folder = published(tmp_path / "model")
    config = json.loads((folder / "unet/config.json").read_text())
    config["_class_name"] = "UNet2DConditionModel"
    (folder / "unet/config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="of a UNet2DConditionModel, expected a UNet2DModel"):
        board(str(folder))


def test_a_model_is_named_as_on_the_hub(tmp_path: Path) -> None:
    repo = tmp_path / "hub/models--google--ddpm-cifar10-32"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs/main").write_text("abc")
    with pytest.raises(UserError, match=r"denoiser\.init: .*`leakboard assets fetch google/ddpm-c"):
        board("google/ddpm-cifar10-32")
    flat(repo / "snapshots/abc")
    made = board("google/ddpm-cifar10-32")
    assert made.track.architecture.denoiser["norm_eps"] == 1e-6
    assert folders.weights("google/ddpm-cifar10-32").parent == repo / "snapshots/abc"
    assets.require([made])


def test_a_copy_in_the_cache_that_changed_is_not_trained_on(tmp_path: Path) -> None:
    folder = flat(tmp_path / "model")
    (tmp_path / "own").mkdir()
    folder.rename(tmp_path / "own/model")
    content = assets.held(tmp_path / "own/model")
    kept = assets.keep(str(folder), tmp_path / "own/model", content)
    assert folders.weights(str(folder)).parent == kept
    net = networks.build("denoiser", board(str(folder)).track.architecture.denoiser, 8, 1)
    networks.start_from(net, kept)
    (kept / "config.json").chmod(0o644)
    (kept / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is not what it was; remove it, and fetch or import it"):
        networks.start_from(net, kept)


def test_a_named_model_that_is_not_here_names_the_command_that_gets_it() -> None:
    digits = yaml.safe_load((ROOT / "config/tracks/digits.yaml").read_text(encoding="utf-8"))
    made = board("google/ddpm-church-256", digits["architecture"]["denoiser"])
    with pytest.raises(UserError, match=r"pretrained\.init: .*fetch google/ddpm-church-256`"):
        assets.require([made])
    assert "google/ddpm-church-256" in assets.asked([made])
