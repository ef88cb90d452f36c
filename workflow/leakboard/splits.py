"""The subset: which images are members, held-out and reference, and into which halves they fall."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard.duplicates import groups
from leakboard.errors import UserError
from leakboard.published import Rows, Sides
from leakboard.randomness import numpy_generator


def split(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    members: int,
    held_out: int,
    near_duplicate: float,
    seed: int,
    duplicates: Mapping[str, int] | None = None,
    sides: Sides | None = None,
) -> pd.DataFrame:
    """The split, one row per image: index, label, pool, half, fold, times.

    images (n, h, w, c), labels (n,). Pools are balanced over the classes as far as the classes
    last. `half` ("a", "b") cuts the members in two; `fold` ("dev", "test") cuts members and
    held-out images, for thresholds and for numbers. Of every group of near-duplicates (linked by
    an RMS difference below `near_duplicate`, pixels in [0, 1]) only the first image is used, so no
    pool holds a copy of another pool's image. `times` says how often an epoch shows the image: 1,
    or for as many members as `duplicates` {images, times} asks for, more; the rest of the split is
    the same with and without them. `sides` are the rows that members and held-out images are taken
    from, where that was decided elsewhere; all other rows are reference. Raises UserError if too
    few images are left.
    """
    group = near_duplicates(images, near_duplicate)
    kept = np.flatnonzero(group == np.arange(len(images)))
    print(f"{len(images):,} images, {len(images) - len(kept):,} dropped as duplicates of others")
    if members + held_out > len(kept):
        raise UserError(
            f"subset: members + held_out = {members + held_out}, but the dataset has "
            f"{len(images)} images, {len(kept)} without near-duplicates; ask for fewer"
        )
    rng = numpy_generator("subset", seed)
    if sides is None:
        order = _balanced(kept, labels, rng)
    else:
        order = _from_sides(kept, labels, sides, (members, held_out), rng)
    pool = np.full(len(images), "dropped", dtype=object)
    pool[order] = "reference"
    pool[order[:members]] = "members"
    pool[order[members : members + held_out]] = "held-out"
    half = np.full(len(images), "", dtype=object)
    half[_by_class(order[:members], labels)] = _alternating("a", "b", members)
    fold = np.full(len(images), "", dtype=object)
    for name in ("members", "held-out"):
        rows = _by_class(order[pool[order] == name], labels)
        # Half b begins where half a would have gone on: no class leans to one fold in both.
        for part, one, two in (("", "dev", "test"), ("a", "dev", "test"), ("b", "test", "dev")):
            some = rows[half[rows] == part]
            fold[some] = _alternating(one, two, len(some))
    index = np.arange(len(images))
    table = pd.DataFrame(
        {"index": index, "label": labels, "pool": pool, "half": half, "fold": fold, "times": 1}
    )
    if duplicates:
        chosen = _planted(table, duplicates["images"], numpy_generator("duplicates", seed))
        table.loc[chosen, "times"] = duplicates["times"]
    return table


def near_duplicates(images: NDArray[np.uint8], threshold: float) -> NDArray[np.int64]:
    """For each image the first image of its group; images below the threshold are linked.

    Exact copies are one group at any threshold, and at 0 found without comparing all with all.
    """
    if not threshold:
        first: dict[bytes, int] = {}
        names = (hashlib.sha256(image.tobytes()).digest() for image in images)
        found = (first.setdefault(name, i) for i, name in enumerate(names))
        return np.fromiter(found, np.int64, len(images))
    flat = images.reshape(len(images), -1).astype(np.float32) / 255
    flat /= np.sqrt(flat.shape[1])  # Euclidean distance = RMS difference
    return groups(flat, max(float(np.nextafter(threshold, -1)), 0.0))  # strictly below, or a copy


def _from_sides(
    kept: Rows,
    labels: NDArray[np.int64],
    sides: Sides,
    asked: tuple[int, int],
    rng: np.random.Generator,
) -> Rows:
    """The rows with so many members and then held-out images first, each from its side."""
    chosen = []
    for key, n, side in zip(("members", "held_out"), asked, sides, strict=True):
        rows = _balanced(kept[np.isin(kept, side)], labels, rng)
        if n > len(rows):
            raise UserError(
                f"subset.{key}: {n}, but of the images that the split has for them the dataset "
                f"holds {len(side)}, {len(rows)} without near-duplicates; ask for fewer"
            )
        chosen.append(rows[:n])
    first = np.concatenate(chosen)
    return np.concatenate([first, _balanced(kept[~np.isin(kept, first)], labels, rng)])


def _balanced(rows: NDArray[Any], labels: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """The rows in an order whose every prefix is balanced over the classes."""
    rows = rng.permutation(rows)
    rank = pd.Series(labels[rows]).groupby(labels[rows]).cumcount().to_numpy()
    return rows[np.lexsort((labels[rows], rank))]


def _planted(table: pd.DataFrame, n: int, rng: np.random.Generator) -> NDArray[Any]:
    """n members at random, balanced over halves and folds as far as n and the members allow."""
    members = table[table["pool"] == "members"]
    members = members.iloc[rng.permutation(len(members))]
    # Half and fold take turns crosswise: two images are of both halves and of both folds already.
    turns = {("a", "dev"): 0, ("b", "test"): 1, ("b", "dev"): 2, ("a", "test"): 3}
    turn = np.array([turns[pair] for pair in zip(members["half"], members["fold"], strict=True)])
    rank = members.groupby(turn).cumcount().to_numpy()
    return members["index"].to_numpy()[np.lexsort((turn, rank))[:n]]


def _by_class(rows: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    return rows[np.argsort(labels[rows], kind="stable")]


def _alternating(one: str, two: str, n: int) -> NDArray[Any]:
    return np.array([one, two], dtype=object)[np.arange(n) % 2]
