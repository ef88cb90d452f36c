"""Diffusers folders from elsewhere: what they say of their network. Imports nothing heavy.

A folder is a UNet2DModel's (config.json and weights), or a pipeline's, which has that in unet/ and
its noise schedule in scheduler/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from leakboard import assets
from leakboard.config import Noise
from leakboard.errors import UserError

WEIGHTS = "diffusion_pytorch_model.safetensors"
PICKLE = "diffusion_pytorch_model.bin"
# What diffusers 0.42 takes where a config.json does not say it, and what decides how weights are
# used. Left out are the sizes, which the images give, and the classes, which the trainer gives.
DEFAULTS: dict[str, Any] = {
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
}
FREE = {"dropout"}  # a matter of the training, not of the weights
SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
}


def network(folder: Path) -> Path:
    """The folder of the network itself: a pipeline has it in unet/."""
    inside = folder / "unet"
    return inside if (inside / "config.json").is_file() else folder


def weights(name: str) -> Path:
    """The file of weights of a folder, of an asset, or of a model in the Hugging Face cache."""
    return network(assets.place(name)) / WEIGHTS


def architecture(name: str) -> dict[str, Any]:
    """The arguments with which the network of a folder is built; UserError where it says none."""
    if problem := assets.lacking(name):
        raise UserError(problem)
    said = _config(network(assets.place(name)) / "config.json")
    return {key: said.get(key, default) for key, default in DEFAULTS.items()}


def problems(name: str, own: Mapping[str, Any], noise: Noise) -> Iterator[str]:
    """Why a track's denoiser, built with its `own` arguments, cannot start from a folder."""
    place = assets.place(name)
    folder = network(place)
    try:
        config = _config(folder / "config.json")
        there = architecture(name)
    except UserError as error:
        yield str(error)
        return
    if config.get("_class_name") != "UNet2DModel":
        yield f"{folder}/config.json: is of a {config.get('_class_name')}, expected a UNet2DModel"
        return
    if not (folder / WEIGHTS).is_file():
        yield _no_weights(folder)
    here = {**DEFAULTS, **own}
    wrong = [key for key in DEFAULTS if key not in FREE and here[key] != there[key]]
    if wrong:
        told = ", ".join(f"{key} ({there[key]} there, {here[key]} here)" for key in wrong)
        yield (
            f"'{name}' is built otherwise than architecture.denoiser: {told}; write `architecture: "
            f"{{denoiser: {{init: {name}}}}}` to take them from there"
        )
    yield from _schedule(name, place, noise)


def _schedule(name: str, place: Path, noise: Noise) -> Iterator[str]:
    """How the noise that a folder's network was trained with differs from the track's."""
    inside = (place, place / "scheduler", place.parent / "scheduler")
    found = next((f for f in inside if (f / "scheduler_config.json").is_file()), None)
    if found is None:
        return  # it does not say
    try:
        said = {**SCHEDULE, **_config(found / "scheduler_config.json")}
    except UserError as error:
        yield str(error)
        return
    here = {
        **SCHEDULE,
        "num_train_timesteps": noise.steps,
        "beta_start": noise.beta_start,
        "beta_end": noise.beta_end,
    }
    wrong = [key for key, value in here.items() if said[key] != value]
    if wrong:
        told = ", ".join(f"{key} ({said[key]} there, {here[key]} here)" for key in wrong)
        yield f"'{name}' was trained with other noise than the track's `noise`: {told}"


def _no_weights(folder: Path) -> str:
    if (folder / PICKLE).is_file():
        return (
            f"{folder} has its weights in {PICKLE}, a pickle, which is code and is not read; if "
            f'you trust it, convert it: python -c "from diffusers import UNet2DModel; UNet2DModel.'
            f"from_pretrained('{folder}', use_safetensors=False).save_pretrained('{folder}')\""
        )
    return f"{folder}: holds no {WEIGHTS}, the weights of its network"


def _config(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: not there; expected a diffusers folder of a UNet2DModel"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(said, dict):
        raise UserError(f"{path}: expected keys and values")
    return said
