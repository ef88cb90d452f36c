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


MAKERS = {"inception": inception_pth, "sscd": sscd_script}


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
