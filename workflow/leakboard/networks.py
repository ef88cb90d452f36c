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
from diffusers import ConfigMixin, DDIMScheduler, ModelMixin, UNet2DModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from leakboard.diffusion import Schedule
from leakboard.errors import UserError
from leakboard.files import write_bytes

WEIGHTS = "diffusion_pytorch_model.safetensors"


class TimeClassifier(ModelMixin, ConfigMixin):
    """Logits of a noised image: the U-Net's down path and middle block, then a head.

    CPSample, appendix B: time embedding kept; GroupNorm, SiLU, pooling, one convolution.
    Other keyword arguments are those of UNet2DModel.
    """

    @register_to_config
    def __init__(
        self,
        sample_size: int = 32,
        in_channels: int = 3,
        outputs: int = 1,
        block_out_channels: tuple[int, ...] = (128, 256),
        down_block_types: tuple[str, ...] = ("DownBlock2D", "AttnDownBlock2D"),
        layers_per_block: int = 1,
        norm_num_groups: int = 32,
        attention_head_dim: int | None = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        unet = UNet2DModel(
            sample_size=sample_size,
            in_channels=in_channels,
            block_out_channels=block_out_channels,
            down_block_types=down_block_types,
            up_block_types=["UpBlock2D"] * len(block_out_channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            attention_head_dim=attention_head_dim,
            dropout=dropout,
        )
        self.time_proj, self.time_embedding = unet.time_proj, unet.time_embedding
        self.conv_in, self.down_blocks, self.mid_block = (
            unet.conv_in,
            unet.down_blocks,
            unet.mid_block,
        )
        width = block_out_channels[-1]
        self.norm = nn.GroupNorm(norm_num_groups, width)
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (b, c, h, w), t () or (b,) -> logits (b, outputs)."""
        t = t.to(x.device).expand(len(x))
        time = self.time_embedding(self.time_proj(t).to(x.dtype))
        hidden = self.conv_in(x)
        for block in self.down_blocks:
            hidden, _ = block(hidden, time)
        hidden = functional.silu(self.norm(self.mid_block(hidden, time)))
        return self.head(hidden.mean((2, 3), keepdim=True))[..., 0, 0]


class Encoder(ModelMixin, ConfigMixin):
    """A small residual image encoder: features (b, dim), and logits from them.

    GroupNorm only, so that an image's features never depend on its batch mates.
    """

    @register_to_config
    def __init__(
        self,
        sample_size: int = 32,
        in_channels: int = 3,
        outputs: int = 10,
        width: int = 32,
        dim: int = 64,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.one = _Residual(width, width)
        self.two = _Residual(width, 2 * width, stride=2)
        self.three = _Residual(2 * width, 2 * width)
        flat = 2 * width * ((sample_size + 1) // 2) ** 2 if sample_size <= 8 else 2 * width
        self.pool = sample_size > 8  # tiny images keep their places, larger ones are averaged
        self.project = nn.Linear(flat, dim)
        self.scale = nn.LayerNorm(dim)  # features of one size, whatever the images
        self.head = nn.Linear(dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (b, c, h, w) in [-1, 1] -> features (b, dim)."""
        hidden = functional.silu(self.three(self.two(self.one(self.stem(x)))))
        hidden = hidden.mean((2, 3)) if self.pool else hidden.flatten(1)
        return self.scale(self.project(hidden))

    def logits(self, x: Tensor) -> Tensor:
        """x (b, c, h, w) -> (b, outputs)."""
        return self.head(functional.silu(self(x)))


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, out)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
        self.skip = nn.Conv2d(channels, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(functional.silu(self.norm2(hidden)))


KINDS: dict[str, type[Any]] = {
    "denoiser": UNet2DModel,
    "classifier": TimeClassifier,
    "encoder": Encoder,
}


def build(kind: str, architecture: Mapping[str, Any], size: int, channels: int, **more: int) -> Any:
    """A fresh network of a kind for square images (channels, size, size).

    Its first weights come from torch's global generator: seed it. Raises UserError where the
    architecture has a key that the network does not know, or one that cannot be built.
    """
    if kind == "denoiser":
        more["out_channels"] = channels
    try:
        return KINDS[kind](sample_size=size, in_channels=channels, **more, **architecture)
    except (TypeError, ValueError) as error:
        raise UserError(f"architecture.{kind}: the network cannot be built: {error}") from error


def save(net: Any, folder: Path, schedule: Schedule, noise: Mapping[str, Any], about: str) -> None:
    """Write a network as a diffusers folder; `about` (JSON) goes into the weights' metadata."""
    config = {**_plain(net.config), "_class_name": type(net).__name__}
    scheduler = DDIMScheduler(
        num_train_timesteps=len(schedule.abar),
        beta_start=noise["beta_start"],
        beta_end=noise["beta_end"],
        clip_sample=False,
    )
    part = "unet" if isinstance(net, UNet2DModel) else "classifier"
    library = "diffusers" if isinstance(net, UNet2DModel) else "leakboard.networks"
    index = {
        "_class_name": "DDIMPipeline" if part == "unet" else "DiffusionPipeline",
        part: [library, type(net).__name__],
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
    kinds = {kind.__name__: kind for kind in KINDS.values()}
    name = config.get("_class_name")
    if name not in kinds:
        raise UserError(
            f"{folder}/config.json: _class_name is {name!r}, expected one of {', '.join(kinds)}"
        )
    state, about = read_weights(folder / WEIGHTS)
    if expected is not None and about.get("digest") != expected:
        raise UserError(
            f"{folder}/{WEIGHTS}: made by another configuration (digest {about.get('digest')}, "
            f"expected {expected}); remove the folder and run again to train it anew"
        )
    try:
        net = kinds[name].from_config(config)
        net.load_state_dict(state)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder}: its weights do not fit its config.json: {error}; both must come from the "
            f"same network"
        ) from error
    return net.eval().requires_grad_(False)


def start_from(net: Any, folder: Path) -> None:
    """Copy the weights of a folder (`init:`) into a network of the same architecture.

    Raises UserError naming the first differences where the two do not fit.
    """
    state, _ = read_weights(folder / WEIGHTS)
    own = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    theirs = {key: tuple(value.shape) for key, value in state.items()}
    if own != theirs:
        wrong = sorted(key for key in own.keys() | theirs.keys() if own.get(key) != theirs.get(key))
        shown = ", ".join(f"{k} ({theirs.get(k)} there, {own.get(k)} here)" for k in wrong[:3])
        raise UserError(
            f"init: {folder} is a network of another architecture: {shown}, {len(wrong)} tensors "
            f"differ; make the track's `architecture:` equal to {folder}/config.json"
        )
    net.load_state_dict(state)


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
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
