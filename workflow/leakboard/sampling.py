"""From a spec and files to predictors, pictures and scores: what sampling and attacks share."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from leakboard import artefacts, networks, plugins, subset
from leakboard.diffusion import Denoiser, Parts, Predictor, Schedule, Service, sample
from leakboard.images import to_float, to_pixels
from leakboard.randomness import PerImage

BATCH = 250  # audited images at once


def guarded(
    spec: Mapping[str, Any], weights: Sequence[str], images: str, split: str
) -> tuple[Predictor, tuple[int, ...]]:
    """The defended predictor that a spec describes, and the shape (c, h, w) of its pictures.

    `weights` are the files of the defense's networks, denoisers first, then its classifier.
    """
    guard, device = spec["guard"], networks.device()
    digests = [*guard["denoisers"], *filter(None, [guard["classifier"]])]
    nets = [
        networks.load(Path(file).parent, expected).to(device)
        for file, expected in zip(weights, digests, strict=True)
    ]
    schedule = Schedule.linear(**spec["noise"])
    pixels = artefacts.read_npz(images, spec["subset"])["images"]
    members = subset.rows_of_pool(subset.read_split(split), "members")
    count = len(guard["denoisers"])
    parts = Parts(
        denoisers=[Denoiser(net, schedule) for net in nets[:count]],
        classifier=nets[count] if guard["classifier"] else None,
        members=to_float(pixels[members]).to(device),
    )
    defense = plugins.load("defenses", guard["method"], guard["params"])
    return defense.guard(parts), tuple(to_float(pixels[:1]).shape[1:])


def target(
    spec: Mapping[str, Any], weights: Sequence[str], images: str, split: str
) -> Predictor | Service:
    """What an attacker queries: the raw network, the defended predictor, or a service around it."""
    if spec["sees"] != "weights":
        predictor, _ = guarded(spec, weights, images, split)
        return predictor if spec["sees"] == "predictor" else Service(predictor, spec["clip_sample"])
    net = networks.load(Path(weights[0]).parent, spec["target"]).to(networks.device())
    return Denoiser(net, Schedule.linear(**spec["noise"]))


def draw(
    predictor: Predictor, shape: Sequence[int], spec: Mapping[str, Any], start: int, stop: int
) -> tuple[NDArray[np.uint8], float]:
    """Pictures start..stop as (n, h, w, c) uint8, and the seconds it took.

    Seconds of the clock on a GPU, of the processor otherwise: other jobs beside it do not count.
    Picture i of a seed begins from the same noise whichever defense draws it.
    """
    how = spec["sampling"]
    clock = time.perf_counter if networks.device().type == "cuda" else time.process_time
    begun = clock()
    parts = []
    for first in range(start, stop, how["batch_size"]):
        numbers = range(first, min(first + how["batch_size"], stop))
        noise = PerImage("sample", spec["track"], spec["seed"], indices=numbers)
        drawn = sample(
            predictor,
            noise,
            shape,
            sampler=how["sampler"],
            steps=how["steps"],
            clip_sample=how["clip_sample"],
            device=networks.device(),
        )
        parts.append(to_pixels(drawn))
    return np.concatenate(parts), round(clock() - begun, 3)


def score(
    attack: Any,
    asked: Predictor | Service,
    pixels: NDArray[np.uint8],
    index: NDArray[np.int64],
    spec: Mapping[str, Any],
) -> NDArray[np.float64]:
    """The scores (n,) of audited images (n, h, w, c), higher = more likely a member.

    The attack sees images and their own generators, never a label; image i's randomness is the
    same for every target, so scores are paired.
    """
    images, device = to_float(pixels), networks.device()
    parts = []
    for first in range(0, len(images), BATCH):
        some = slice(first, first + BATCH)
        rng = PerImage("attack", spec["track"], spec["attack"], spec["seed"], indices=index[some])
        parts.append(attack.score(asked, images[some].to(device), rng).double().cpu())
    return torch.cat(parts).numpy()
