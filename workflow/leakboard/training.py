"""Training: one loop for every network, resumable to the bit, its loss curve on disk as it goes.

Nothing random is carried from step to step: the batch, the noise and the dropout of step s are
derived from the names of the network and s, so a checkpoint needs no generator state.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from numpy.typing import NDArray
from torch import Tensor

from leakboard import allocator, checkpoints, networks, settings
from leakboard.checkpoints import due
from leakboard.diffusion import Schedule
from leakboard.errors import UserError
from leakboard.files import write_bytes
from leakboard.images import to_float
from leakboard.lessons import Batch, Lesson, rows_of
from leakboard.precision import learning
from leakboard.randomness import Name, derive, generator
from leakboard.signals import Terminated, whole

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
    """A training that can stop at any moment and go on as if it had not.

    Step s takes a batch of lesson s modulo their number: with two, they alternate. `names` identify
    the training (they seed everything), `where` names its config entry in messages, `checkpoint` is
    the file it resumes from, `curve` the CSV of its loss, written as it goes. With `precision` bf16
    the products of a step are in bf16; weights, sums and the optimizer's state are float32.
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
        precision: str = "fp32",
    ) -> None:
        allocator.keep()
        self.net, self.trainer, self.schedule = net.to(device), trainer, schedule
        self.lessons, self.images = lessons, sum(len(lesson.images) for lesson in lessons)
        self.settings, self.names, self.where = settings, names, where
        self.checkpoint, self.curve, self.device = checkpoint, curve, torch.device(device)
        self.precision = precision
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
        self.steps = max(1, round(settings["stop_after"] * settings["steps"]))
        self.step = self.saved = 0  # steps done, and those in the checkpoint
        self.rows: list[str] = []
        self.running: list[float] = []
        self.buffers: dict[str, Tensor] = {}  # as the last step left them
        self.earlier_seconds = 0.0  # spent by attempts that were interrupted
        self.started = 0.0

    def run(self, report: Callable[[int, int], None] = lambda step, steps: None) -> Any:
        """Train to the end and return the network with its averaged weights.

        Raises UserError on a loss that is not finite or on a checkpoint that cannot be read. On
        SIGTERM the steps done so far are saved, also in the middle of the next.
        """
        if self.checkpoint.exists():
            self._resume()
        self.net.train()
        hooks = [p.register_hook(_let_signals_in) for p in self.parameters]
        try:
            self._train(report)
        except Terminated as stop:
            if self.step > self.saved:
                self._save()
            kept = "its checkpoint is kept" if self.step else "nothing is lost"
            stop.args = (f"at step {self.step:,} of {self.steps:,}; {kept}",)
            raise
        for hook in hooks:
            hook.remove()
        self.ema.copy_to(self.parameters)
        return self.net.eval()

    def _train(self, report: Callable[[int, int], None]) -> None:
        self.started = state = written = time.monotonic()
        self._remember()
        write = 0.0
        while self.step < self.steps:
            begun = time.monotonic()
            self._advance()
            report(self.step, self.steps)
            now = time.monotonic()
            if self.step == self.steps or not due(now - state, now - written, now - begun, write):
                continue
            with whole():
                self._save()
            state, written = now, time.monotonic()
            write = written - state

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
        with learning(self.precision, self.device) as mixed:
            with mixed:
                loss = self.trainer.loss(self.net, batch, rng)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, settings["gradient_clip"])
        value = float(loss.detach())
        with whole():
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.ema.step(self.parameters)
            self.step += 1
            self.running.append(value)
            self._remember()
            finite = math.isfinite(value)
            if self.step % CURVE_STEPS == 0 or self.step == self.steps or not finite:
                self._record()
        if not finite:
            raise UserError(
                f"{self.where}: the loss is {value} at step {self.step}; lower "
                f"training.lr ({settings['lr']:g}) or training.gradient_clip, or raise "
                f"training.warmup; the curve so far is in {self.curve}"
            )

    def _remember(self) -> None:
        """Keep what a forward pass changes (BatchNorm's running statistics)."""
        self.buffers = {name: value.clone() for name, value in self.net.named_buffers()}

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

    @property
    def epochs(self) -> float:
        """How many times each image was seen so far, on average."""
        return self.step * self.settings["batch_size"] / self.images

    def curve_text(self) -> str:
        """The loss curve as CSV: step, epoch, mean loss since the last row, learning rate."""
        return "step,epoch,loss,lr\n" + "".join(self.rows)

    def _save(self) -> None:
        about = {
            "step": self.step,
            "rows": self.rows,
            "running": self.running,
            "seconds": self.earlier_seconds + time.monotonic() - self.started,
        }
        parts = self.net, self.buffers, self.optimizer, self.ema
        checkpoints.write(self.checkpoint, *parts, about)
        self.saved = self.step

    def _resume(self) -> None:
        about = checkpoints.read(self.checkpoint, self.net, self.optimizer, self.ema)
        self.step, self.rows, self.running = about["step"], about["rows"], about["running"]
        self.saved, self.earlier_seconds = self.step, about["seconds"]
        write_bytes(self.curve, self.curve_text().encode())


def _let_signals_in(_grad: Tensor) -> None:
    """A hook of every weight: Python hears signals between two of its instructions only.

    Without it a backward pass, which may take many seconds, is a single one.
    """


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
    no other training's is resumed. They outlive the job, which may be lost before the workflow
    knows that it has ended; `leftovers` removes them.
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
        precision=settings.precision(spec),
    )
