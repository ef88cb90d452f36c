"""Networks of the published extractors' architectures, with weights that nobody trained.

Each of NETWORKS writes its weights into a folder and returns the params of its extractor.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from leakboard.files import sha256
from leakboard.inception import Inception


def inception(folder: Path) -> dict[str, Any]:
    save_file(Inception().state_dict(), folder / "inception.safetensors")
    return {"weights": str(folder / "inception.safetensors")}


def sscd(folder: Path) -> dict[str, Any]:
    path = folder / "sscd.pt"
    torch.jit.save(torch.jit.script(_descriptor().eval()), path)
    return {"weights": str(path), "sha256": sha256(path)}


def _descriptor() -> Any:
    """ResNet-50 with 512 numbers, as SSCD's (He et al. 2016)."""

    def unit(a: int, b: int, kernel: int, stride: int, *last: nn.Module) -> nn.Sequential:
        convolution = nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(b), *last)

    class Block(nn.Module):
        def __init__(self, a: int, b: int, stride: int) -> None:
            super().__init__()
            parts = (unit(a, b, 1, 1, nn.ReLU(True)), unit(b, b, 3, stride, nn.ReLU(True)))
            self.body = nn.Sequential(*parts, unit(b, 4 * b, 1, 1))
            same = a == 4 * b and stride == 1
            self.beside = nn.Identity() if same else unit(a, 4 * b, 1, stride)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return (self.body(x) + self.beside(x)).relu()

    blocks, a = [], 64
    for b, stride, depth in ((64, 1, 3), (128, 2, 4), (256, 2, 6), (512, 2, 3)):
        for i in range(depth):
            blocks.append(Block(a, b, stride if i == 0 else 1))
            a = 4 * b
    first = (unit(3, 64, 7, 2, nn.ReLU(True)), nn.MaxPool2d(3, 2, 1))
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 512))
    return nn.Sequential(*first, *blocks, *pool)


def transformer(
    name: str, dim: int, depth: int, patch: int, grid: int, gated: bool = False, **more: Any
) -> Callable[[Path], dict[str, Any]]:
    """DINO's transformers, and DINOv2's, whose layers are gated and scaled."""

    def made(folder: Path) -> dict[str, Any]:
        hidden = int(4 * dim * 2 / 3 + 7) // 8 * 8 if gated else 4 * dim
        shapes = {"cls_token": (1, 1, dim), "pos_embed": (1, grid * grid + 1, dim)}
        shapes |= {"patch_embed.proj.weight": (dim, 3, patch, patch), "norm.weight": (dim,)}
        shapes |= {"patch_embed.proj.bias": (dim,), "norm.bias": (dim,)}
        first, last, wide = ("w12", "w3", 2 * hidden) if gated else ("fc1", "fc2", hidden)
        block = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim)}
        block |= {f"mlp.{first}": (wide, dim), f"mlp.{last}": (dim, hidden)}
        for i in range(depth):
            for key, shape in block.items():
                shapes |= {f"blocks.{i}.{key}.weight": shape, f"blocks.{i}.{key}.bias": shape[:1]}
            for key in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
                shapes[f"blocks.{i}.{key}"] = (dim,)
            if gated:
                shapes |= {f"blocks.{i}.ls{k}.gamma": (dim,) for k in (1, 2)}
        state = {key: torch.full(shape, 0.01) for key, shape in shapes.items()}
        torch.save(state, folder / f"{name}.pth")
        return {"weights": str(folder / f"{name}.pth"), **more}

    return made


NETWORKS: dict[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
    "inception": ("inception", inception),
    "sscd": ("sscd", sscd),
    "dino_vitb16": (
        "dino",
        transformer("vitb16", 768, 12, 16, 14, resize=224, normalize="imagenet"),
    ),
    "dinov2_vitg14": ("dino", transformer("vitg14", 1536, 40, 14, 37, gated=True)),
}
