"""Training: one loop for every network, resumable to the bit, its loss curve on disk as it goes.

Nothing random is carried from step to step: the batch, the noise and the dropout of step s are
derived from the names of the network and s, so a checkpoint needs no generator state.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from numpy.typing import NDArray
from torch import Tensor

from leakboard import networks
from leakboard.diffusion import Schedule
from leakboard.errors import UserError
from leakboard.files import write_bytes
from leakboard.images import to_float
from leakboard.lessons import Batch, Lesson, rows_of
from leakboard.networks import read_weights
from leakboard.randomness import Name, derive, generator

CHECKPOINT_SECONDS = 15  # a killed training loses at most this, and one step
CURVE_STEPS = 10  # one row of the loss curve for so many steps


class Trainer(Protocol):
    """What training minimizes; a plug-in in trainers/."""

    def outputs(self, labels: Tensor) -> dict[str, int]:
        """Arguments of the network's constructor that depend on the data."""
        ...

    def loss(self, net: Any, batch: Batch, rng: torch.Generator) -> Tensor:
        """The mean loss of a batch, (); noise comes from rng, dropout from torch's generator."""
        ...


def learning_rate(step: int, settings: Mapping[str, Any]) -> float:
    """The rate of a step (counted from 0): linear warm-up, then constant or half a cosine to 0."""
    warmup, steps = settings["warmup"], settings["steps"]
    rate = settings["lr"]
    if step < warmup:
        return rate * (step + 1) / warmup
    if settings["lr_decay"] == "constant":
        return rate
    return rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class Training:
    """A training that can stop at any step and go on as if it had not.

    Step s takes a batch of lesson s modulo their number: with two, they alternate. `names` identify
    the training (they seed everything), `where` names its config entry in messages, `checkpoint` is
    the file it resumes from, `curve` the CSV of its loss, written as it goes.
    """

    def __init__(
        self,
        net: Any,
        trainer: Trainer,
        lessons: Sequence[Lesson],
        schedule: Schedule,
        settings: Mapping[str, Any],
        *,
        names: tuple[Name, ...],
        where: str,
        checkpoint: Path,
        curve: Path,
        device: torch.device | str = "cpu",
    ) -> None:
        self.net, self.trainer, self.schedule = net.to(device), trainer, schedule
        self.lessons, self.images = lessons, sum(len(lesson.images) for lesson in lessons)
        self.settings, self.names, self.where = settings, names, where
        self.checkpoint, self.curve, self.device = checkpoint, curve, device
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=settings["lr"], weight_decay=settings["weight_decay"], fused=True
        )
        self.ema = EMAModel(
            self.parameters,
            decay=settings["ema_decay"],
            use_ema_warmup=True,  # (1 - 1/(1 + n)^(3/4)): short runs forget their first weights
            power=3 / 4,
            foreach=True,
        )
        self.step = 0
        self.rows: list[str] = []
        self.running: list[float] = []
        self.earlier_seconds = 0.0  # spent by attempts that were interrupted

    def run(self, report: Callable[[int, int], None] = lambda step, steps: None) -> Any:
        """Train to the end and return the network with its averaged weights.

        Raises UserError on a loss that is not finite or on a checkpoint that cannot be read.
        """
        if self.checkpoint.exists():
            self._resume()
        started = saved = time.monotonic()
        steps = max(1, round(self.settings["stop_after"] * self.settings["steps"]))
        self.net.train()
        while self.step < steps:
            self._advance()
            report(self.step, steps)
            if self.step % CURVE_STEPS == 0 or self.step == steps:
                self._record()
            if time.monotonic() - saved > CHECKPOINT_SECONDS and self.step < steps:
                self._save(self.earlier_seconds + time.monotonic() - started)
                saved = time.monotonic()
        self.ema.copy_to(self.parameters)
        return self.net.eval()

    def _advance(self) -> None:
        settings = self.settings
        turn, which = divmod(self.step, len(self.lessons))
        lesson = self.lessons[which]
        names = (*self.names, lesson.pool)
        rows = rows_of(turn, len(lesson.images), settings["batch_size"], names)
        rng = generator(*self.names, "step", self.step)
        flip = torch.rand(len(rows), generator=rng) < 0.5 if settings["flip"] else None
        batch = lesson.batch(rows, flip, self.schedule, self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, settings)
        # Dropout draws from torch's own generator, so that one is seeded for the step as well.
        torch.manual_seed(derive(*self.names, "dropout", self.step))
        loss = self.trainer.loss(self.net, batch, rng)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, settings["gradient_clip"])
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.step(self.parameters)
        self.step += 1
        self.running.append(float(loss.detach()))
        if not math.isfinite(self.running[-1]):
            loss_text = f"the loss is {self.running[-1]}"
            self._record()
            raise UserError(
                f"{self.where}: {loss_text} at step {self.step}; lower "
                f"training.lr ({settings['lr']:g}) or training.gradient_clip, or raise "
                f"training.warmup; the curve so far is in {self.curve}"
            )

    def _record(self) -> None:
        mean = sum(self.running) / len(self.running)
        rate = learning_rate(self.step - 1, self.settings)
        self.rows.append(f"{self.step},{self.epochs:.6g},{mean:.6g},{rate:.6g}\n")
        self.running = []
        self.curve.parent.mkdir(parents=True, exist_ok=True)
        if len(self.rows) == 1 or not self.curve.exists():
            self.curve.write_text(self.curve_text(), encoding="utf-8")
        else:
            with self.curve.open("a", encoding="utf-8") as file:
                file.write(self.rows[-1])

    def forget(self) -> None:
        """Remove checkpoint and live curve of a training that is finished and saved."""
        shutil.rmtree(self.checkpoint.parent, ignore_errors=True)

    @property
    def epochs(self) -> float:
        """How many times each image was seen so far, on average."""
        return self.step * self.settings["batch_size"] / self.images

    def curve_text(self) -> str:
        """The loss curve as CSV: step, epoch, mean loss since the last row, learning rate."""
        return "step,epoch,loss,lr\n" + "".join(self.rows)

    def _save(self, seconds: float) -> None:
        """Everything the next step needs, in one file that is either whole or absent."""
        tensors = {f"net/{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"ema/{i:05d}": v for i, v in enumerate(self.ema.shadow_params)}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{i:05d}/{key}": value for key, value in state.items()}
        about = {
            "step": self.step,
            "ema_step": self.ema.optimization_step,
            "rows": self.rows,
            "running": self.running,
            "seconds": seconds,
        }
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        metadata = {"leakboard": json.dumps(about)}
        write_bytes(self.checkpoint, networks.to_bytes(tensors, metadata))

    def _resume(self) -> None:
        tensors, about = read_weights(self.checkpoint)
        parts: dict[str, dict[str, Tensor]] = {"net": {}, "ema": {}, "optimizer": {}}
        for key, value in tensors.items():
            part, name = key.split("/", 1)
            parts[part][name] = value
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            i, key = name.split("/")
            state.setdefault(int(i), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.net.load_state_dict(parts["net"])
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        for mine, saved in zip(
            self.ema.shadow_params, [v for _, v in sorted(parts["ema"].items())], strict=True
        ):
            mine.copy_(saved)
        self.ema.optimization_step = about["ema_step"]
        self.step, self.rows, self.running = about["step"], about["rows"], about["running"]
        self.earlier_seconds = about["seconds"]
        write_bytes(self.curve, self.curve_text().encode())


def prepare(
    spec: Mapping[str, Any],
    trainer: Trainer,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    pools: Mapping[str, NDArray[np.int64]],
    *,
    init: Path | None,
    teachers: Mapping[str, Path],
    inputs: Iterable[Path],
    checkpoints: Path,
) -> Training:
    """The training that a spec describes, on the dataset: images (n, h, w, c) uint8, labels (n,).

    `pools` says which images it learns from, `teachers` in which folder the network lies that
    teaches on a pool, `init` is the folder of the network it starts from. Checkpoint and live loss
    curve lie in `checkpoints` under a key made of the spec and of the content of all `inputs`, so
    no other training's is resumed, and they outlive a job that fails.
    """
    names = ("train", spec["track"], spec["network"], spec["seed"])
    where = f"networks.{spec['network']} of track {spec['track']}"
    device = networks.device()
    lessons = [
        Lesson(
            pool,
            to_float(pixels[rows]),
            torch.from_numpy(labels[rows]),
            torch.tensor(rows),
            networks.load(teachers[pool], spec["teachers"][pool]).to(device)
            if pool in teachers
            else None,
        )
        for pool, rows in pools.items()
    ]
    torch.manual_seed(derive(*names, "weights"))
    if spec["kind"] == "student":
        net = networks.student(lessons[0].teacher)
    else:
        net = networks.build(
            spec["kind"],
            spec["architecture"],
            size=pixels.shape[1],
            channels=pixels.shape[3],
            **trainer.outputs(torch.cat([lesson.labels for lesson in lessons])),
        )
    if init is not None:
        networks.start_from(net, init)
    key = hashlib.sha256(json.dumps(spec, sort_keys=True).encode())
    for file in inputs:
        key.update(hashlib.sha256(file.read_bytes()).digest())
    return Training(
        net,
        trainer,
        lessons,
        Schedule.linear(**spec["noise"]),
        spec["training"],
        names=names,
        where=where,
        checkpoint=checkpoints / f"{key.hexdigest()[:16]}.safetensors",
        curve=checkpoints / f"{key.hexdigest()[:16]}.csv",
        device=device,
    )
