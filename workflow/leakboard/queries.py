"""From a spec and files to what an attacker asks, and from the answers to scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from leakboard import artefacts, heads, networks, settings
from leakboard.diffusion import Denoiser, Predictor, Recognizer, Schedule, Service
from leakboard.images import to_float
from leakboard.kept import Kept, key
from leakboard.precision import Asked
from leakboard.randomness import PerImage
from leakboard.ranges import AUDITED, batches
from leakboard.sampling import guarded, members

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
        raw = Denoiser(Asked(net, settings.precision(spec)), Schedule.linear(**spec["noise"]))
        there = None if spec["relabeled"] else members(spec, images, split)[1].unique()
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


def origin(spec: Mapping[str, Any], files: Any) -> str:
    """What names an attack's answers: its spec, and the content of all that it asks and is."""
    return key(spec, [*files.networks, files.images, files.split, *files.code])


def asked(
    attack: Any,
    spec: Mapping[str, Any],
    files: Any,
    table: pd.DataFrame,
    start: int,
    stop: int,
    kept: Kept | None = None,
    report: Callable[[int, int], None] = lambda done, images: None,
) -> NDArray[Any]:
    """The `answers` about the audited images start..stop of a table (index).

    files: networks, images, split, as paths.
    """
    index = table["index"].to_numpy()[start:stop]
    data = artefacts.read_npz(files.images, spec["subset"])
    whom = target(spec, files.networks, files.images, files.split)
    pictures = data["images"][index], data["labels"][index], index
    return answers(attack, whom, *pictures, spec, start=start, kept=kept, report=report)


def answers(
    attack: Any,
    target: Callable[[Tensor], Queried],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    index: NDArray[np.int64],
    spec: Mapping[str, Any],
    *,
    start: int = 0,
    kept: Kept | None = None,
    report: Callable[[int, int], None] = lambda done, images: None,
) -> NDArray[Any]:
    """What an attack finds of audited images (n, h, w, c): (n,) scores, or (n, ...) for its head.

    They are those from `start` on, where a batch begins. The attack sees images and their own
    generators, never who is a member; image i's randomness is the same for every target, so scores
    are paired. `labels` (n,) are the images' classes. Batches that `kept` knows are not asked about
    again; `report` hears how many images are done, of how many.
    """
    ask = attack.features if hasattr(attack, "fit") else attack.score
    classes, device = torch.from_numpy(labels), networks.device()
    stop, found = start + len(pixels), []
    for first, end in batches(start, stop, AUDITED):
        known = kept.find(first, end, end - first == AUDITED) if kept else None
        if known is None:
            begun, some = time.monotonic(), slice(first - start, end - start)
            rng = PerImage(
                "attack", spec["track"], spec["attack"], spec["seed"], indices=index[some]
            )
            asked = target(classes[some].to(device))
            images = to_float(pixels[some]).to(device)
            known = {"answers": ask(asked, images, rng).cpu().numpy()}
            if kept:
                kept.add(first, end, known, time.monotonic() - begun)
        found.append(known["answers"])
        report(end - start, stop - start)
    return np.concatenate(found)


def scores(
    attack: Any, found: NDArray[Any], spec: Mapping[str, Any], told: heads.Told | None = None
) -> NDArray[np.float64]:
    """The scores (n,) of all audited images, higher = more likely a member, from their `answers`.

    An attack with a trained head is `told` who is a member in the dev half.
    """
    if not hasattr(attack, "fit"):
        return found.astype(np.float64)
    if told is None:
        raise ValueError("a head must be told the labels of the dev half")
    names = ("attack", spec["track"], spec["attack"], spec["seed"])
    features = torch.from_numpy(found).to(networks.device())
    return heads.scores(attack, features, told, names).double().numpy()
