"""From a spec and files to defended models and pictures: what sampling and attacks share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leakboard import artefacts, networks, plugins, settings, subset
from leakboard.diffusion import (
    Denoiser,
    Guide,
    Parts,
    Predictor,
    Schedule,
    Screen,
    Service,
    sample,
)
from leakboard.features import Extract, Space
from leakboard.images import to_float, to_pixels
from leakboard.kept import Kept
from leakboard.precision import Asked
from leakboard.randomness import PerImage
from leakboard.ranges import batches


@dataclass(frozen=True)
class Target:
    """A defense over its networks, ready for a batch: what is sampled from, and attacked.

    shape: (c, h, w) of its pictures; classes: the labels among the members, ascending; None where
    the networks learned other labels than their images' classes.
    """

    defense: Any
    denoisers: Sequence[Denoiser]
    parts: Parts
    shape: tuple[int, ...]
    classes: Tensor | None

    def predictor(self, classes: Tensor | None = None) -> Predictor:
        """The defended predictor for one batch of images of these classes (b,) long.

        Defenses may follow a batch from step to step, so every batch gets its own.
        """
        bound = [replace(denoiser, classes=classes) for denoiser in self.denoisers]
        return self.defense.guard(replace(self.parts, denoisers=bound))

    @cached_property
    def screen(self) -> Screen | None:
        """What holds finished pictures back, if the defense has such a thing."""
        return self.defense.screen(self.parts) if hasattr(self.defense, "screen") else None

    def service(self, classes: Tensor, clip_sample: bool) -> Service:
        """An image-to-image service for one batch of images of these classes (b,) long."""
        whole = self.predictor(classes)
        return Service(
            whole, clip_sample, self.screen, lambda rows: self.predictor(classes[rows.to(classes)])
        )

    def asked(self, numbers: Iterable[int]) -> Tensor:
        """The classes that pictures of these numbers are drawn of, in turn; -1 without classes."""
        some = torch.tensor(list(numbers))
        taught = min(denoiser.taught for denoiser in self.denoisers)
        every = torch.arange(taught) if self.classes is None else self.classes
        known = every[every < taught]
        return known[some % len(known)] if len(known) else torch.full_like(some, -1)


def picture(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What each of a set's pictures depends on: all of its spec but how many there are."""
    how = {key: value for key, value in spec["sampling"].items() if key != "images"}
    return {**spec, "sampling": how}


@dataclass(frozen=True)
class Extraction:
    """An extraction attack that steers the drawing; `classes` are those of its classifier.

    Without a classifier (`guide` is None) all pictures are of one class.
    """

    attack: Any
    guide: Guide | None
    classes: int

    def steered(self, predictor: Predictor, numbers: Tensor) -> Predictor:
        """The predictor for one batch of pictures, (b,) long: they take the classes in turn."""
        return self.attack.guide(predictor, self.guide, numbers % self.classes)


def extraction(spec: Mapping[str, Any], weights: Sequence[str]) -> Extraction | None:
    """The attack on the drawing that a spec of pictures describes; None for plain ones.

    `weights` are the files of a target's networks, the attack's classifier the last of them.
    """
    how = spec["extraction"]
    if how is None:
        return None
    attack = plugins.load("attacks", how["method"], how["params"])
    if how["classifier"] is None:
        return Extraction(attack, None, 1)
    net = networks.load(Path(weights[-1]).parent, how["classifier"]).to(networks.device())
    timed = networks.kind(net) != "encoder"
    guide = net if timed else (lambda x, t: net.logits(x))
    return Extraction(attack, guide, net.config["outputs"])


def guarded(spec: Mapping[str, Any], weights: Sequence[str], images: str, split: str) -> Target:
    """The defended model that a spec describes.

    `weights` are the files of the defense's networks: denoisers, then its classifier, then the
    encoder of the extractor in whose space it looks for members; what follows is an attack's.
    """
    guard, device = spec["guard"], networks.device()
    space, flip = guard["extractor"], guard["mirrored"]
    digests = [*guard["denoisers"], *filter(None, [guard["classifier"]])]
    nets = [
        networks.load(Path(file).parent, expected).to(device)
        for file, expected in zip(weights, digests, strict=False)
    ]
    schedule = Schedule.linear(**spec["noise"])
    pictures, labels = (each.to(device) for each in members(spec, images, split))
    count = len(guard["denoisers"])
    eyes = weights[len(digests) : len(digests) + bool(space and space["network"])]
    extract = Extract(space, eyes) if space else None
    asked = [Asked(net, settings.precision(spec)) for net in nets[:count]]
    denoisers = [Denoiser(net, schedule, guidance=guard["guidance"]) for net in asked]
    index = guard["params"].get("index", "flat")
    parts = Parts(
        denoisers=denoisers,
        classifier=nets[count] if guard["classifier"] else None,
        members=pictures,
        space=extract
        and Space(extract.features, extract.measure, pictures, labels, flip, index, extract.batch),
    )
    defense = plugins.load("defenses", guard["method"], guard["params"])
    classes = None if guard["relabeled"] else labels.cpu().unique()
    return Target(defense, denoisers, parts, tuple(pictures.shape[1:]), classes)


def members(spec: Mapping[str, Any], images: str, split: str) -> tuple[Tensor, Tensor]:
    """The members (m, c, h, w) and their classes (m,) long."""
    data = artefacts.read_npz(images, spec["subset"])
    rows = subset.rows_of_pool(subset.read_split(split), "members")
    return to_float(data["images"][rows]), torch.from_numpy(data["labels"][rows])


def draw(
    target: Target,
    spec: Mapping[str, Any],
    start: int,
    stop: int,
    attack: Extraction | None = None,
    kept: Kept | None = None,
    report: Callable[[int, int], None] = lambda done, images: None,
) -> dict[str, Any]:
    """Pictures start..stop: `images` (n, h, w, c) uint8, and `seconds`, what it took.

    start is where a batch begins. Batches that `kept` knows are not drawn again, those that are
    drawn are kept there; `report` hears how many pictures there are, of how many.

    `asked` (n,) is the class that each was drawn of; where the defense screens its pictures,
    `tries` (n,) counts their draws and `passed` (n,) says which passed. Seconds of the clock on a
    GPU, of the processor otherwise: other jobs beside it do not count. Picture i of a seed begins
    from the same noise whichever defense draws it, and whoever steers it; a further try has noise
    of its own. An attacker who steers the predictor runs the sampler himself: no screen is asked.
    """
    how, device = spec["sampling"], networks.device()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    every: list[dict[str, Any]] = []
    seconds = 0.0
    for first, end in batches(start, stop, how["batch_size"]):
        known = kept.find(first, end, end - first == how["batch_size"]) if kept else None
        if known is not None:
            every.append(known)
            continue
        begun, numbers = clock(), torch.arange(first, end)
        asked = target.asked(numbers.tolist())

        def once(rows: Tensor, again: int, numbers=numbers, asked=asked) -> Tensor:
            names = ("sample", spec["track"], spec["seed"], *(("try", again) if again else ()))
            predictor = target.predictor(asked[rows].to(device) if (asked >= 0).all() else None)
            if attack is not None:
                predictor = attack.steered(predictor, numbers[rows].to(device))
            drawn = sample(
                predictor,
                PerImage(*names, indices=numbers[rows].tolist()),
                target.shape,
                sampler=how["sampler"],
                steps=how["steps"],
                clip_sample=how["clip_sample"],
                device=device,
            )
            return to_float(to_pixels(drawn)).to(device)

        if target.screen is None or attack is not None:
            pictures, more = once(torch.arange(len(numbers)), 0), {}
        else:
            found = target.screen.redrawn(once, len(numbers))
            pictures = found.pictures
            more = {"tries": found.tries.numpy(), "passed": found.passed.numpy()}
        every.append({"images": to_pixels(pictures), "asked": asked.numpy(), **more})
        seconds += clock() - begun
        if kept:
            kept.add(first, end, every[-1], clock() - begun)
        report(end - start, stop - start)
    drawn = {key: np.concatenate([part[key] for part in every]) for key in every[0]}
    return {**drawn, "seconds": round(kept.seconds if kept else seconds, 3)}
