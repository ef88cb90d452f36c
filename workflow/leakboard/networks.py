"""Networks: built from a track's architecture, saved as diffusers folders, loaded with care.

A folder holds config.json, diffusion_pytorch_model.safetensors, scheduler_config.json and
model_index.json, so that `UNet2DModel.from_pretrained` and `DDIMPipeline.from_pretrained` open it.
The weights' metadata carry the digest of the config entries that made them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from leakboard import assets, devices
from leakboard.diffusion import Schedule
from leakboard.errors import UserError
from leakboard.files import write_bytes

WEIGHTS = "diffusion_pytorch_model.safetensors"
EARLIER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
KINDS = {
    "denoiser": "UNet2DModel",
    "classifier": "TimeClassifier",
    "encoder": "Encoder",
    "student": "TimedEncoder",
}


def _class(name: str) -> Any:
    """A class of network by its name; who needs no diffusers does not wait for its import."""
    if name == "Encoder":
        from leakboard.encoder import Encoder

        return Encoder
    if name == "TimedEncoder":
        from leakboard.timed_encoder import TimedEncoder

        return TimedEncoder
    if name == "TimeClassifier":
        from leakboard.classifier import TimeClassifier

        return TimeClassifier
    from leakboard.lean import UNet2DModel

    return UNet2DModel


def build(kind: str, architecture: Mapping[str, Any], size: int, channels: int, **more: int) -> Any:
    """A fresh network of a kind for square images (channels, size, size).

    Its first weights come from torch's global generator: seed it. Raises UserError where the
    architecture has a key that the network does not know, or one that cannot be built.
    """
    if kind == "denoiser":
        more["out_channels"] = channels
    try:
        return _class(KINDS[kind])(sample_size=size, in_channels=channels, **more, **architecture)
    except (TypeError, ValueError) as error:
        raise UserError(f"architecture.{kind}: the network cannot be built: {error}") from error


def save(net: Any, folder: Path, schedule: Schedule, noise: Mapping[str, Any], about: str) -> None:
    """Write a network as a diffusers folder; `about` (JSON) goes into the weights' metadata."""
    from leakboard.lean import DDIMScheduler

    name = type(net).__name__
    config = {**_plain(net.config), "_class_name": name}
    scheduler = DDIMScheduler(
        num_train_timesteps=len(schedule.abar),
        beta_start=noise["beta_start"],
        beta_end=noise["beta_end"],
        clip_sample=False,
    )
    denoises = name == KINDS["denoiser"]
    index = {
        "_class_name": "DDIMPipeline" if denoises else "DiffusionPipeline",
        "unet" if denoises else "classifier": [
            "diffusers" if denoises else _class(name).__module__,
            name,
        ],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    weights = to_bytes(state, {"format": "pt", "leakboard": about})
    write_bytes(folder / "config.json", _json(config))
    write_bytes(folder / "scheduler_config.json", _json(_plain(scheduler.config)))
    write_bytes(folder / "model_index.json", _json(index))
    write_bytes(folder / WEIGHTS, weights)


def load(folder: Path, expected: str | None = None) -> Any:
    """The network in a folder, in evaluation mode.

    `expected` is the digest that its config entries must have (None for a folder from elsewhere).
    Raises UserError where a file is missing, cut short, or from another configuration.
    """
    config = _read_json(folder / "config.json")
    name, known = config.get("_class_name"), list(KINDS.values())
    if name not in known:
        raise UserError(
            f"{folder}/config.json: _class_name is {name!r}, expected one of {', '.join(known)}"
        )
    state, about = read_weights(folder / WEIGHTS)
    if expected is not None and about.get("digest") != expected:
        raise UserError(
            f"{folder}/{WEIGHTS}: made by another configuration (digest {about.get('digest')}, "
            f"expected {expected}); remove the folder and run again to train it anew"
        )
    try:
        net = _class(name).from_config(config)
        net.load_state_dict(state)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder}: its weights do not fit its config.json: {error}; both must come from the "
            f"same network"
        ) from error
    return net.eval().requires_grad_(False)


def kind(net: Any) -> str:
    """What a network is: "denoiser", "classifier", "encoder" or "student"."""
    return next(kind for kind, name in KINDS.items() if name == type(net).__name__)


def student(teacher: Any) -> Any:
    """A fresh network built like an encoder, with time modules; its config is the teacher's."""
    return _class(KINDS["student"])(**teacher.config)


def start_from(net: Any, folder: Path) -> None:
    """Copy the weights of a folder (`init:`) into a network of the same architecture.

    Attention that bears the names which diffusers gave it until 2023 is renamed. Raises UserError
    naming the first differences where the two do not fit.
    """
    assets.intact(folder)
    state = _renamed(read_weights(folder / WEIGHTS)[0])
    own = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    theirs = {key: tuple(value.shape) for key, value in state.items()}
    if own != theirs:
        wrong = sorted(key for key in own.keys() | theirs.keys() if own.get(key) != theirs.get(key))
        shown = ", ".join(f"{k} ({theirs.get(k)} there, {own.get(k)} here)" for k in wrong[:3])
        raise UserError(
            f"init: {folder} is a network of another architecture: {shown}, {len(wrong)} tensors "
            f"differ; make the track's `architecture:` equal to {folder}/config.json, and its "
            f"images as colored"
        )
    net.load_state_dict(state)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names that diffusers has for them today."""

    def today(key: str) -> str:
        *block, name, kind = key.split(".")
        if "attentions" not in block or name not in EARLIER:
            return key
        return ".".join([*block, EARLIER[name], kind])

    return {today(key): value for key, value in state.items()}


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file, and what leakboard wrote about them ({} if nothing)."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a network's weights as safetensors")
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("leakboard", "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, about  # noqa: SIM118
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise UserError(
            f"{path}: not a whole safetensors file ({error}); it was cut short or damaged: remove "
            f"it and run again"
        ) from error


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of these tensors; equal content gives equal bytes.

    The library writes the header's keys in an order that changes from process to process.
    """
    data = safetensors.torch.save(dict(tensors), dict(metadata))
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":"))
    text = header.encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A diffusers config without what changes from process to process."""
    return {k: v for k, v in config.items() if k not in ("_name_or_path", "_use_default_values")}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, default=list) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from error


def device() -> torch.device:
    """The GPU if there is one, else the CPU; of several GPUs one that no other job has.

    From then on fp32 is IEEE single precision there: TensorFloat-32 (10 bits) is off.
    """
    devices.lease()
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")
