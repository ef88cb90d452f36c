"""Weights that nobody trained, in files of the same interface as the published ones."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from leakboard import inception, plugins
from leakboard.files import sha256


def spread(net: nn.Module) -> Any:
    """The network with weights that tell images apart, as trained ones do."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return net.eval()


class Descriptor(nn.Module):
    """(n, 3, h, w) of any size -> (n, 512), as the published SSCD."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 7, stride=4)
        self.project = nn.Linear(16 * 9, 512)

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(torch.relu(self.conv(x)), 3)
        return nn.functional.normalize(self.project(pooled.flatten(1)), dim=1)


def inception_pth(path: Path) -> Path:
    """All tensors of the published file, its classifier too."""
    state = spread(inception.Inception()).state_dict()
    torch.save({**state, "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)
    return path


def inception_safetensors(path: Path) -> Path:
    safetensors.torch.save_file(spread(inception.Inception()).state_dict(), path)
    return path


def sscd_script(path: Path) -> Path:
    torch.jit.save(torch.jit.script(spread(Descriptor())), path)
    return path


def noise(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=rng) * 0.1 for key, shape in shapes.items()}


def dino_pth(path: Path, patch: int = 14, gated: bool = False) -> Path:
    """A vision transformer of two blocks with DINOv2's names, for 56x56; 24 channels inside."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, 128),
        "pos_embed": (1, 17, 128),
        "mask_token": (1, 128),
        "patch_embed.proj.weight": (128, 3, patch, patch),
        "patch_embed.proj.bias": (128,),
        "norm.weight": (128,),
        "norm.bias": (128,),
    }
    mlp = {"w12": (48, 128), "w3": (128, 24)} if gated else {"fc1": (24, 128), "fc2": (128, 24)}
    inner = {"attn.qkv": (384, 128), "attn.proj": (128, 128)}
    inner |= {f"mlp.{name}": shape for name, shape in mlp.items()}
    for block in ("blocks.0", "blocks.1"):
        shapes |= {f"{block}.{name}.weight": shape for name, shape in inner.items()}
        shapes |= {f"{block}.{name}.bias": shape[:1] for name, shape in inner.items()}
        for norm in ("norm1", "norm2"):
            shapes |= {f"{block}.{norm}.weight": (128,), f"{block}.{norm}.bias": (128,)}
        if gated:
            shapes |= {f"{block}.{name}.gamma": (128,) for name in ("ls1", "ls2")}
    torch.save(noise(shapes), path)
    return path


def clip_state() -> dict[str, Tensor]:
    """An image tower of two blocks with the names of CLIP's authors, for 32x32 in patches of 8."""
    shapes: dict[str, tuple[int, ...]] = {
        "visual.class_embedding": (128,),
        "visual.positional_embedding": (17, 128),
        "visual.proj": (128, 32),
        "visual.conv1.weight": (128, 3, 8, 8),
        "token_embedding.weight": (10, 4),  # of the text tower
    }
    for norm in ("ln_pre", "ln_post"):
        shapes |= {f"visual.{norm}.weight": (128,), f"visual.{norm}.bias": (128,)}
    for i in (0, 1):
        block = f"visual.transformer.resblocks.{i}"
        shapes |= {f"{block}.attn.in_proj_weight": (384, 128), f"{block}.attn.in_proj_bias": (384,)}
        for name, shape in {
            "attn.out_proj": (128, 128),
            "mlp.c_fc": (512, 128),
            "mlp.c_proj": (128, 512),
        }.items():
            shapes |= {f"{block}.{name}.weight": shape, f"{block}.{name}.bias": shape[:1]}
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"{block}.{norm}.weight": (128,), f"{block}.{norm}.bias": (128,)}
    return noise(shapes)


def clip_safetensors(path: Path) -> Path:
    safetensors.torch.save_file(clip_state(), path)
    return path


MAKERS: dict[str, Any] = {
    "inception": inception_pth,
    "sscd": sscd_script,
    "dino": dino_pth,
    "clip": clip_safetensors,
}


@cache
def file(method: str) -> Path:
    """A file of weights for an extractor, made once per process."""
    return MAKERS[method](Path(tempfile.mkdtemp(prefix="leakboard-"), method))


def ready(method: str, params: dict[str, Any]) -> tuple[Any, Any]:
    """An extractor that reads such a file, and its network."""
    path = file(method)
    own: dict[str, Any] = {**params, "weights": str(path)}
    if plugins.constant("extractors", method, "runs_code"):
        own["sha256"] = sha256(path)
    extractor = plugins.load("extractors", method, own)
    return extractor, extractor.load(path)
