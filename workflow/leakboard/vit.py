"""Vision transformers as DINO, DINOv2 and CLIP published them, built from their weights.

Dosovitskiy et al. 2021, arXiv 2010.11929. Modules bear DINO's names; the weights of CLIP, as its
authors and as Hugging Face name them, are renamed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt

import torch
from torch import Tensor, cat, nn
from torch.nn import functional

from leakboard.errors import UserError

HEAD = 64  # channels of an attention head, of all these networks
OFFSET = 0.1  # of DINO's grids of positions, which makes them wider than they are
CLIP = {  # its authors' names
    "conv1": "patch_embed.proj",
    "class_embedding": "cls_token",
    "positional_embedding": "pos_embed",
    "ln_pre": "norm_pre",
    "ln_post": "norm",
    r"transformer\.resblocks\.(\d+)": r"blocks.\1",
    "ln_1": "norm1",
    "ln_2": "norm2",
    "attn.in_proj_": "attn.qkv.",
    "attn.out_proj": "attn.proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
HUGGING_FACE = {
    "embeddings.patch_embedding": "patch_embed.proj",
    "embeddings.class_embedding": "cls_token",
    "embeddings.position_embedding.weight": "pos_embed",
    "pre_layrnorm": "norm_pre",
    "post_layernorm": "norm",
    r"encoder\.layers\.(\d+)": r"blocks.\1",
    "layer_norm": "norm",
    "self_attn.out_proj": "attn.proj",
    "self_attn": "attn",
}


def of_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The image tower of CLIP's weights, under DINO's names; UserError where there is none."""
    for tower, names, projection in (
        ("visual.", CLIP, "visual.proj"),
        ("vision_model.", HUGGING_FACE, "visual_projection.weight"),
    ):
        own = {k.removeprefix(tower): v for k, v in state.items() if k.startswith(tower)}
        if own and projection in state:
            own.pop("proj", None)
            own.pop("embeddings.position_ids", None)
            renamed = {_named(key, names): value.float() for key, value in own.items()}
            head = state[projection].float()
            renamed["head.weight"] = head.T if projection == "visual.proj" else head
            for key in ("cls_token", "pos_embed"):
                renamed[key] = renamed[key].reshape(1, -1, renamed[key].shape[-1])
            return _joined(renamed)
    raise UserError("holds no image tower of CLIP: expected a vision transformer's `visual.proj`")


def _named(key: str, names: Mapping[str, str]) -> str:
    for there, here in names.items():
        key = re.sub(there if "\\" in there else re.escape(there), here, key, count=1)
    return key


def _joined(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights whose queries, keys and values are one matrix."""
    for key in [key for key in state if ".attn.q_proj." in key]:
        parts = [state.pop(key.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        state[key.replace("q_proj", "qkv")] = cat(parts)
    return state


class VisionTransformer(nn.Module):
    """Images (n, 3, h, w), sides multiples of the patch -> features (n, dim) of the class token.

    Built as these weights are, without any: `weights.fill` gives it them.
    """

    def __init__(self, state: Mapping[str, Tensor], quick: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        try:
            dim, _, patch, _ = state["patch_embed.proj.weight"].shape
            tokens = state["pos_embed"].shape[1]
            inner = {k: v.shape[0] for k, v in state.items() if k.startswith("blocks.0.mlp.")}
        except (KeyError, ValueError) as error:
            raise UserError(f"holds no vision transformer: {error} is missing") from error
        depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
        gated = inner.get("blocks.0.mlp.w12.weight")
        hidden = gated // 2 if gated else inner.get("blocks.0.mlp.fc1.weight", 0)
        with torch.device("meta"):  # the largest has 1.1 G numbers: they are not made up first
            self.patch_embed = nn.ModuleDict(
                {"proj": nn.Conv2d(3, dim, patch, patch, bias="patch_embed.proj.bias" in state)}
            )
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
            self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))
            if "norm_pre.weight" in state:
                self.norm_pre = nn.LayerNorm(dim, eps)
            scaled = "blocks.0.ls1.gamma" in state
            blocks = (_Block(dim, hidden, bool(gated), scaled, quick, eps) for _ in range(depth))
            self.blocks = nn.Sequential(*blocks)
            self.norm = nn.LayerNorm(dim, eps)
            if "head.weight" in state:
                self.head = nn.Linear(dim, state["head.weight"].shape[0], bias=False)
        self.patch, self.grid = patch, isqrt(tokens - 1)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](x)
        x = cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).mT], 1)
        x = x + self._positions(*patches.shape[-2:])
        x = self.blocks(self.norm_pre(x) if hasattr(self, "norm_pre") else x)
        found = self.norm(x[:, 0])
        return self.head(found) if hasattr(self, "head") else found

    def _positions(self, height: int, width: int) -> Tensor:
        """Where patches are: the grid of the training, bicubic where this one is another."""
        if (height, width) == (self.grid, self.grid):
            return self.pos_embed
        first, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        square = grid.mT.unflatten(2, (self.grid, self.grid))
        scale = [(side + OFFSET) / self.grid for side in (height, width)]
        there = functional.interpolate(square, scale_factor=scale, mode="bicubic")
        return cat([first, there.flatten(2).mT], 1)


class _Block(nn.Module):
    def __init__(
        self, dim: int, hidden: int, gated: bool, scaled: bool, quick: bool, eps: float
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps), nn.LayerNorm(dim, eps)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        first, last = ("w12", "w3") if gated else ("fc1", "fc2")
        inner = nn.Linear(dim, 2 * hidden if gated else hidden)
        self.mlp = nn.ModuleDict({first: inner, last: nn.Linear(hidden, dim)})
        if scaled:
            self.ls1, self.ls2 = _Scale(dim), _Scale(dim)
        self.gated, self.quick = gated, quick

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._scaled("ls1", self._attention(self.norm1(x)))
        return x + self._scaled("ls2", self._mixed(self.norm2(x)))

    def _scaled(self, name: str, x: Tensor) -> Tensor:
        return x * getattr(self, name).gamma if hasattr(self, name) else x

    def _attention(self, x: Tensor) -> Tensor:
        heads = self.attn["qkv"](x).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(*heads)
        return self.attn["proj"](found.transpose(1, 2).flatten(2))

    def _mixed(self, x: Tensor) -> Tensor:
        if self.gated:
            gate, value = self.mlp["w12"](x).chunk(2, -1)
            return self.mlp["w3"](functional.silu(gate) * value)
        x = self.mlp["fc1"](x)
        x = x * torch.sigmoid(1.702 * x) if self.quick else functional.gelu(x)
        return self.mlp["fc2"](x)


class _Scale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))
