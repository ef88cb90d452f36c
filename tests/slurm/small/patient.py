"""The standard objective, slowly, so that a test can hit it; and two accidents on request."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.nn import functional

from leakboard import checkpoints
from leakboard.lessons import Batch

MB = 2**20


@dataclass(frozen=True)
class Trainer:
    """A step takes `pause` seconds longer, and leaves a line in the file `steps`.

    The file `interval` in the working directory holds the seconds between two checkpoints. A file
    `eat-memory` or `fill-disk` is removed and obeyed, once; while there is a file `wait`, the step
    takes a minute at most.
    """

    trains: ClassVar[str] = "denoiser"
    pause: float = 0.0

    def outputs(self, labels: torch.Tensor) -> dict[str, int]:
        return {}

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> torch.Tensor:
        time.sleep(self.pause)
        patience = time.monotonic() + 60
        while Path("wait").exists() and time.monotonic() < patience:
            time.sleep(0.1)
        with Path("steps").open("a", encoding="utf-8") as file:
            file.write("step\n")
        if Path("interval").exists():
            checkpoints.SECONDS = checkpoints.LOST = int(Path("interval").read_text())
        if asked("eat-memory"):
            eaten = []
            for _ in range(40):  # until it is killed
                eaten.append(bytearray(b"\1" * 100 * MB))
                time.sleep(0.3)
        if asked("fill-disk"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        x, t, eps = batch.noised(rng)
        return functional.mse_loss(net(x, t).sample, eps)


def asked(name: str) -> bool:
    """Whether the file is there; then it is not any more."""
    try:
        Path(name).unlink()
    except FileNotFoundError:
        return False
    return True
