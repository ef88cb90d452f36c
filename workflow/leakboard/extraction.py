"""What extraction attacks drew, measured: a target's pictures put together, then counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from leakboard import artefacts
from leakboard.measures import extraction, grid
from leakboard.measures.measure import Measure
from leakboard.measures.similarity import calibrated_threshold, tops
from leakboard.randomness import numpy_generator


def pictures(files: Sequence[str | Path], digests: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """digest -> pictures (n, h, w, c) of each source, of which all shards are given in turn."""
    shards = len(files) // max(1, len(digests))
    every = {expected: files[shards * i : shards * (i + 1)] for i, expected in enumerate(digests)}
    return {expected: artefacts.read_pictures(some, expected) for expected, some in every.items()}


def measured(
    cell: Mapping[str, Any],
    tables: Mapping[str, Any],
    background: NDArray[np.float64],
    attack: Any,
    drawn: Mapping[str, NDArray[np.uint8]],
) -> list[Measure]:
    """The rows of one attack on one defense, or of a family of attacks, over the best of them.

    tables: digest -> neighbor table of a set of pictures; background: held-out similarities;
    attack: the plug-in, if it keeps some pictures, then `drawn` (digest -> pictures) are all of
    them. Of several sources (both networks of a pair, say) each gives its share of the pictures.
    """
    n, rng = cell["images"], numpy_generator(*cell["names"])

    def together(digests: Sequence[str]) -> Any:
        parts = [tables[digest] for digest in digests]
        return pd.concat(_shares(parts, n), ignore_index=True)

    how: dict[str, Any] = {
        "members": cell["members"],
        "extractor": cell["extractor"],
        "calibration": cell["calibration"],
        "bands": {**extraction.BANDS, **{k: tuple(v) for k, v in cell["bands"].items()}},
        "permutations": cell["permutations"],
        "random": together(cell["plain"]) if cell["plain"] else None,
        "rng": rng,
    }
    if "grid" in cell:
        strengths = {strength: together(digests) for strength, digests in cell["grid"]}
        return grid.family(strengths, background, **how)
    table = together(cell["tables"])
    if attack is not None:
        return _filtered(cell, table, background, attack, drawn)
    found = extraction.extraction(table, background, **how)
    return found + tops(table["similarity"], cell["extractor"], rng)


def _filtered(
    cell: Mapping[str, Any],
    table: Any,
    background: NDArray[np.float64],
    attack: Any,
    drawn: Mapping[str, NDArray[np.uint8]],
) -> list[Measure]:
    from leakboard.images import to_float

    parts = [drawn[digest] for digest in cell["samples"]]
    pixels = np.concatenate(_shares(parts, cell["images"]))
    kept = attack.keep(to_float(pixels)).numpy()
    threshold = calibrated_threshold(background, cell["calibration"])
    sizes = {"members": cell["members"], "extractor": cell["extractor"]}
    return extraction.filtered(table, kept, threshold, **sizes)


def _shares(parts: Sequence[Any], n: int) -> list[Any]:
    """The first rows of each part, n in all, as equally as they can be."""
    some = [n // len(parts) + (i < n % len(parts)) for i in range(len(parts))]
    return [part[:count] for part, count in zip(parts, some, strict=True)]
