"""From a spec and files to predictors, pictures and scores: what sampling and attacks share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leakboard import artefacts, heads, networks, plugins, subset
from leakboard.diffusion import (
    Denoiser,
    Guide,
    Parts,
    Predictor,
    Recognizer,
    Schedule,
    Screen,
    Service,
    sample,
)
from leakboard.features import Extract, Space
from leakboard.images import to_float, to_pixels
from leakboard.randomness import PerImage

BATCH = 250  # audited images at once


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
    members, labels = (each.to(device) for each in _members(spec, images, split))
    count = len(guard["denoisers"])
    eyes = weights[len(digests) : len(digests) + bool(space and space["network"])]
    extract = Extract(space, eyes) if space else None
    denoisers = [Denoiser(net, schedule, guidance=guard["guidance"]) for net in nets[:count]]
    index = guard["params"].get("index", "flat")
    parts = Parts(
        denoisers=denoisers,
        classifier=nets[count] if guard["classifier"] else None,
        members=members,
        space=extract and Space(extract.features, extract.measure, members, labels, flip, index),
    )
    defense = plugins.load("defenses", guard["method"], guard["params"])
    classes = None if guard["relabeled"] else labels.cpu().unique()
    return Target(defense, denoisers, parts, tuple(members.shape[1:]), classes)


def _members(spec: Mapping[str, Any], images: str, split: str) -> tuple[Tensor, Tensor]:
    """The members (m, c, h, w) and their classes (m,) long."""
    data = artefacts.read_npz(images, spec["subset"])
    rows = subset.rows_of_pool(subset.read_split(split), "members")
    return to_float(data["images"][rows]), torch.from_numpy(data["labels"][rows])


Queried = Predictor | Service | Recognizer | None


def target(
    spec: Mapping[str, Any], weights: Sequence[str], images: str, split: str
) -> Callable[[Tensor], Queried]:
    """What an attacker queries about a batch of images, made from their classes (b,) long.

    The raw network, the defended predictor, or a service around it; who holds an image sees its
    class. The raw network is asked about that class without classifier-free guidance. A class that
    no member has was never taught: it would tell strangers by itself, and -1 asks without one; so
    it does where the network learned other labels, which nobody sees on an image.
    None for who sees nothing, the classifier for who asks that.
    """
    if spec["sees"] == "nothing":
        return lambda classes: None
    if spec["sees"] == "weights":
        net = networks.load(Path(weights[0]).parent, spec["target"]).to(networks.device())
        if spec["asks"] == "classifier":
            recognizer = Recognizer(net, Schedule.linear(**spec["noise"]))
            return lambda classes: recognizer
        raw = Denoiser(net, Schedule.linear(**spec["noise"]))
        there = None if spec["relabeled"] else _members(spec, images, split)[1].unique()
    else:
        defended = guarded(spec, weights, images, split)
        there = defended.classes

    def asked(classes: Tensor) -> Queried:
        taught = torch.isin(classes, there.to(classes)) if there is not None else False
        known = torch.where(torch.as_tensor(taught).to(classes.device), classes, -1)
        if spec["sees"] == "weights":
            return replace(raw, classes=known)
        if spec["sees"] == "predictor":
            return defended.predictor(known)
        return defended.service(known, spec["clip_sample"])

    return asked


def draw(
    target: Target,
    spec: Mapping[str, Any],
    start: int,
    stop: int,
    attack: Extraction | None = None,
) -> dict[str, Any]:
    """Pictures start..stop: `images` (n, h, w, c) uint8, and `seconds`, what it took.

    `asked` (n,) is the class that each was drawn of; where the defense screens its pictures,
    `tries` (n,) counts their draws and `passed` (n,) says which passed. Seconds of the clock on a
    GPU, of the processor otherwise: other jobs beside it do not count. Picture i of a seed begins
    from the same noise whichever defense draws it, and whoever steers it; a further try has noise
    of its own. An attacker who steers the predictor runs the sampler himself: no screen is asked.
    """
    how, device = spec["sampling"], networks.device()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    begun = clock()
    parts: list[dict[str, Any]] = []
    for first in range(start, stop, how["batch_size"]):
        numbers = torch.arange(first, min(first + how["batch_size"], stop))
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
        parts.append({"images": to_pixels(pictures), "asked": asked.numpy(), **more})
    drawn = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return {**drawn, "seconds": round(clock() - begun, 3)}


def score(
    attack: Any,
    target: Callable[[Tensor], Queried],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    index: NDArray[np.int64],
    spec: Mapping[str, Any],
    told: heads.Told | None = None,
) -> NDArray[np.float64]:
    """The scores (n,) of audited images (n, h, w, c), higher = more likely a member.

    The attack sees images and their own generators, never who is a member; image i's randomness is
    the same for every target, so scores are paired. `labels` (n,) are the images' classes. One with
    a trained head (`features` and `fit` instead of `score`) is `told` who is a member in the dev
    half.
    """
    trained = hasattr(attack, "fit")
    ask = attack.features if trained else attack.score
    images, classes, device = to_float(pixels), torch.from_numpy(labels), networks.device()
    parts = []
    for first in range(0, len(images), BATCH):
        some = slice(first, first + BATCH)
        rng = PerImage("attack", spec["track"], spec["attack"], spec["seed"], indices=index[some])
        asked = target(classes[some].to(device))
        parts.append(ask(asked, images[some].to(device), rng).cpu())
    found = torch.cat(parts)
    if trained:
        if told is None:
            raise ValueError("a head must be told the labels of the dev half")
        names = ("attack", spec["track"], spec["attack"], spec["seed"])
        found = heads.scores(attack, found.to(device), told, names)
    return found.double().numpy()
