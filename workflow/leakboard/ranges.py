"""Ranges of image numbers: how work on many images is shared by several jobs."""

from __future__ import annotations

import itertools

AUDITED = 250  # audited images that an attack asks about at once

Range = tuple[int, int]  # from the first image to the one after the last


def cut(images: int, batch: int, shards: int) -> list[Range]:
    """All images in at most so many ranges, none empty, cut between batches.

    Batches are the same for any number of shards, and so is what comes out, to the bit.
    """
    batches = -(-images // batch)
    shards = min(shards, batches)
    edges = [batches * k // shards * batch for k in range(shards)] + [images]
    return list(itertools.pairwise(edges))


def batches(start: int, stop: int, batch: int) -> list[Range]:
    """The batches of a range that begins where a batch does; the last one may be shorter."""
    return [(first, min(first + batch, stop)) for first in range(start, stop, batch)]


def parse(name: str) -> Range | None:
    """The range of a name; None if it is none."""
    start, _, stop = name.partition("-")
    return (int(start), int(stop)) if start.isdigit() and stop.isdigit() else None


def name(start: int, stop: int) -> str:
    """What a range is called in paths: `0-250`."""
    return f"{start}-{stop}"
