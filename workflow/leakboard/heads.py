"""Attacks with a trained head: fitted on the dev half, so that no image is scored by who saw it.

Such an attack has `features(target, images, rng)` -> (b, ...), `fit(features, members, rng)` -> a
head (b, ...) -> (b,), higher = member, whose scores do not depend on batch mates, and `folds`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from leakboard.errors import UserError
from leakboard.randomness import Name, generator, numpy_generator

BATCH = 1000  # images scored at once
Head = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Told:
    """What an attacker knows of the audited images: who is a member in the dev half, no more."""

    rows: NDArray[np.int64]  # (m,) places among the audited images, ascending
    members: NDArray[np.bool_]  # (m,)
    classes: NDArray[np.int64]  # (m,) what the images show

    @classmethod
    def dev(cls, audited: pd.DataFrame) -> Told:
        """The dev half of a table of audited images: fold, pool, label."""
        rows = np.flatnonzero(audited["fold"] == "dev")
        own = audited.iloc[rows]
        return cls(rows, own["pool"].to_numpy() == "members", own["label"].to_numpy())


def scores(attack: Any, features: Tensor, told: Told, names: Sequence[Name]) -> Tensor:
    """The scores (n,) of images with these features (n, ...), float64 on the CPU.

    The dev half is cut into parts, and as many heads are fitted, each on all parts but one. An
    image of that part is scored by that head alone, one of the test half by the mean of all: nobody
    scores what it learned from. A single head fitted on the whole dev half would have seen more
    images and steps than those that score the dev half, and thresholds taken there would not hold:
    on the digits, "1 % false positives" came out as up to 12 %; by the mean, as 1.4 % at most.
    `names` name the randomness. Raises UserError where the dev half is too small to be cut, or a
    head is useless.
    """
    rest = torch.from_numpy(np.setdiff1d(np.arange(len(features)), told.rows))
    parts = folds(told, attack.folds, *names)
    count = int(parts.max()) + 1
    found = torch.zeros(len(features), dtype=torch.float64)
    for k in range(count):
        taught, own = parts != k, torch.from_numpy(told.rows[parts == k])
        members = torch.from_numpy(told.members[taught]).to(features.device)
        rng = generator("head", *names, k)
        head = attack.fit(features[torch.from_numpy(told.rows[taught])], members, rng)
        for rows, share in ((own, 1), (rest, count)):
            for some in rows.split(BATCH):
                found[some] += head(features[some]).detach().double().cpu() / share
    if not found.isfinite().all():
        raise UserError(
            f"{type(attack).__module__}: the head's scores are not finite: its training went "
            f"astray; lower its learning rate (params.lr) in the attack's entry"
        )
    return found


def folds(told: Told, count: int, *names: Name) -> NDArray[np.int64]:
    """The part 0, 1, ... of each image (m,): at random, the classes of either pool spread evenly.

    Pools are balanced over the classes: a part that held more members of a class would leave fewer
    to learn from, and its images would score low for that. `count` parts, or fewer where there are
    fewer members or strangers than that.
    """
    members = int(told.members.sum())
    strangers = len(told.members) - members
    count = min(count, members, strangers)
    if count < 2:
        raise UserError(
            f"subset: the dev half holds {members} members and {strangers} strangers; an attack "
            f"with a trained head needs two of each"
        )
    part = np.empty(len(told.members), np.int64)
    for pool in (0, 1):
        rng = numpy_generator("folds", *names, pool)
        rows = rng.permutation(np.flatnonzero(told.members == pool))
        rows = rows[np.argsort(told.classes[rows], kind="stable")]
        part[rows] = np.arange(len(rows)) % count
    return part
