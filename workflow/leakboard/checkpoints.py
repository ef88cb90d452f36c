"""Checkpoints of a training: all that its next step needs, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from leakboard import networks
from leakboard.files import atomic

SECONDS = 15  # between two checkpoints, unless writing them takes long
SHARE = 0.1  # of the time may go into writing them, as long as LOST allows it
LOST = 30  # seconds of a killed training, at most


def due(age: float, rest: float, step: float, write: float) -> bool:
    """Whether a checkpoint is to be written now; all in seconds.

    `age` is that of the state in the last one, `rest` the time since that was written; `step` and
    `write` are what the last step and the last checkpoint took. Slow ones are spaced so that they
    cost a tenth of the time; but a training that is killed shall lose no more than LOST, for which
    up to half of the time is spent. It loses more only when a step and three checkpoints take
    longer than that.
    """
    if rest < write:
        return False
    return rest > max(SECONDS, write * (1 / SHARE - 1)) or age + step + write > LOST


def write(
    path: Path,
    net: Any,
    buffers: Mapping[str, Tensor],
    optimizer: Any,
    ema: Any,
    about: Mapping[str, Any],
) -> None:
    """Put a network, its optimizer and its moving average into a file, whole or not at all.

    `buffers` stand for those of the network, which a forward pass may have changed already.
    """
    tensors = {f"net/{k}": buffers.get(k, v) for k, v in net.state_dict().items()}
    tensors |= {f"ema/{i:05d}": v for i, v in enumerate(ema.shadow_params)}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i:05d}/{key}": value for key, value in state.items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    metadata = {"leakboard": json.dumps({**about, "ema_step": ema.optimization_step})}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata)  # without a copy of it all in memory


def read(path: Path, net: Any, optimizer: Any, ema: Any) -> dict[str, Any]:
    """Fill a network, its optimizer and its moving average, and return what `about` was.

    Raises UserError on a file that is cut short or damaged.
    """
    tensors, about = networks.read_weights(path)
    parts: dict[str, dict[str, Tensor]] = {"net": {}, "ema": {}, "optimizer": {}}
    for key, value in tensors.items():
        part, name = key.split("/", 1)
        parts[part][name] = value
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        i, key = name.split("/")
        state.setdefault(int(i), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    net.load_state_dict(parts["net"])
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    averages = [value for _, value in sorted(parts["ema"].items())]
    for mine, saved in zip(ema.shadow_params, averages, strict=True):
        mine.copy_(saved)
    ema.optimization_step = about["ema_step"]
    return about
