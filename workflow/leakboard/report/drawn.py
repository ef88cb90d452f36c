"""What charts are drawn from, as tables and pictures: ROC curves, histograms, closest calls."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from io import BytesIO
from math import ceil, log10
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from leakboard.measures.audit import Table, scored
from leakboard.measures.membership import auc, roc_band
from leakboard.randomness import numpy_generator

Array = NDArray[np.floating]
Pixels = NDArray[np.uint8]  # (n, height, width, 1 or 3 channels)
Pair = tuple[Pixels, Pixels, pd.DataFrame]  # pictures, their nearest images, sample, neighbor, ...

POINTS = 60  # of a curve
BINS = 60  # of a histogram
SIDE = 96  # pixels of a picture on the page, at most
TURNED = "turned around"
CURVES = ["attack", "sees", "defense", "seed", "scored_by", "auc", "fpr", "tpr", "low", "high"]
HISTOGRAMS = ["extractor", "defense", "low", "high", "count", "n", "threshold"]


def curves(
    lines: Iterable[tuple[str, str, str, Mapping[str, str]]],
    tables: Mapping[str, pd.DataFrame],
    seed: int,
) -> pd.DataFrame:
    """The ROC of each cell on one grid of false positive rates, with 95 % bands, on the test half.

    lines: (attack, sees, defense, target -> digest of its scores); tables: digest -> scores; a line
    that lacks scores is left out. Columns CURVES; `auc` is the measured one. Of several networks
    the scores that the dev half chose, named by `scored_by`; a score that members have less of, as
    the dev half says, is turned around, and `scored_by` says so.
    """
    found, known = [], {}
    for attack, sees, defense, asked in lines:
        if not all(digest in tables for digest in asked.values()):
            continue
        key = tuple(asked.items())  # defenses with the same scores have the same curve
        if key not in known:
            known[key] = _curve({name: tables[digest] for name, digest in key}, [*asked.values()])
        found.append(known[key].assign(attack=attack, sees=sees, defense=defense, seed=seed))
    return pd.concat(found, ignore_index=True)[CURVES] if found else pd.DataFrame(columns=CURVES)


def _curve(held: Mapping[str, pd.DataFrame], digests: list[str]) -> pd.DataFrame:
    cell = scored(cast(Mapping[str, Table], held))
    score, member = cell.judged
    rates = grid(int((~member).sum()))
    rng = numpy_generator("roc", *digests)
    ends = roc_band(cell.sign * score, member, rates, rng)
    said = [cell.name if len(held) > 1 else "", TURNED if cell.sign < 0 else ""]
    made = pd.DataFrame(dict(zip(("fpr", "tpr", "low", "high"), (rates, *ends), strict=True)))
    return made.assign(scored_by=", ".join(filter(None, said)), auc=float(auc(score, member)))


def grid(strangers: int) -> Array:
    """POINTS false positive rates, evenly on a log scale, from the power of ten that so many
    strangers can show to 1.
    """
    return np.geomspace(10.0 ** -max(ceil(log10(strangers) - 1e-9), 1), 1, POINTS)


def edges(groups: Iterable[Array], threshold: float) -> Array:
    """Edges of about BINS bins over all values; the threshold is one of them."""
    finite = [np.asarray(each)[np.isfinite(each)] for each in groups]
    span = np.concatenate([*finite, [threshold]])
    step = float(np.ptp(span)) / BINS or 0.01
    left, right = np.floor((span.min() - threshold) / step), (span.max() - threshold) / step
    return threshold + step * np.arange(left - 1, right + 2)


def histograms(
    similarities: Mapping[str, Array], background: Array, threshold: float, extractor: str
) -> pd.DataFrame:
    """How many samples are how similar to their nearest training image, with columns HISTOGRAMS.

    similarities: defense -> (n,); background: (m,) of real images never trained on, whose defense
    is empty. A bin holds its upper edge: what lies above `threshold` is a copy.
    """
    bins = edges([*similarities.values(), background], threshold)
    found = []
    for name, values in {"": background, **similarities}.items():
        finite = np.asarray(values)[np.isfinite(values)]
        places = np.searchsorted(bins, finite, side="left") - 1
        count = np.bincount(np.clip(places, 0, len(bins) - 2), minlength=len(bins) - 1)
        bars = pd.DataFrame({"low": bins[:-1], "high": bins[1:], "count": count})
        found.append(bars.assign(defense=name, n=len(finite)))
    made = pd.concat(found, ignore_index=True)
    return made.assign(extractor=extractor, threshold=threshold)[HISTOGRAMS]


def gallery(
    pairs: Mapping[str, Pair], shown: int, kilobytes: float, extractor: str
) -> dict[str, Any]:
    """The closest calls of each defense, as PNGs in base64, of at most so many kilobytes.

    {"extractor", "pairs": {defense: [{"sample", "neighbor", "similarity", "generated",
    "training"}]}, "left_out": how many pairs the budget leaves out}; {"off": True} for shown = 0.
    The closest of every defense come first, then the second closest, and so on.
    """
    if shown == 0:
        return {"off": True}
    order = {
        name: np.argsort(-table["similarity"].to_numpy(), kind="stable")[:shown]
        for name, (_, _, table) in pairs.items()
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in pairs}
    left, out = 1000 * kilobytes, 0
    for rank in range(shown):
        for name, (drawn, nearest, table) in pairs.items():
            if rank >= len(order[name]):
                continue
            place = order[name][rank]
            pictures = encoded(drawn[place]), encoded(nearest[place])
            if (size := sum(map(len, pictures))) > left:
                out += 1
                continue
            left -= size
            row = table.iloc[place]
            about: dict[str, Any] = {key: int(row[key]) for key in ("sample", "neighbor")}
            about["similarity"] = float(row["similarity"])
            found[name].append(
                {**about, **dict(zip(("generated", "training"), pictures, strict=True))}
            )
    return {"extractor": extractor, "pairs": found, "left_out": out}


def encoded(picture: Pixels) -> str:
    """One picture (h, w, c) as PNG in base64, no larger than SIDE pixels."""
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    image.thumbnail((SIDE, SIDE))
    canvas = BytesIO()
    image.save(canvas, format="PNG", optimize=True)
    return b64encode(canvas.getvalue()).decode()
