"""What stands on the page, board by board, within a budget of bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from leakboard.measures.strongest import ACCESS
from leakboard.report import board as ranked
from leakboard.report import extraction, payload, saved, tables, words
from leakboard.report.cells import Table, numbers, text

if TYPE_CHECKING:
    from leakboard.report.page import Board

BUDGET = 3_000_000  # bytes, pictures not counted
TAKEN = {"samples", "neighbors"}  # figures that show pictures: off where the gallery is
CAPTIONS = {
    "samples": (
        "What each defense draws",
        "The first samples of every defense, from the same starting noise: place by place, the "
        "grids show what a defense changed.",
    ),
    "neighbors": (
        "The closest calls",
        "Each defense's samples most similar to a training image, above that image; the number "
        "is their similarity. Two equal rows are copies.",
    ),
    "similarity": (
        "How close samples come",
        "Similarity of every sample to its nearest training image. Right of the dotted threshold "
        "a sample counts as a copy; gray is what real images never trained on look like.",
    ),
    "roc": (
        "Members found, at each price",
        "Share of members an attack finds against the share of strangers it wrongly accuses, "
        "both on log scales, one panel per attack; AUCs in parentheses. On the dotted diagonal it "
        "guesses; what matters is the far left.",
    ),
    "extraction": (
        "How far an attacker can steer",
        "What comes out when an attacker steers the drawing toward what looks like training data, "
        "the harder, the larger lambda; at 0 anybody draws. AMS is the share of pictures that copy "
        "a training image, UMS how many different ones they copy, per picture. Bars are 95% "
        "intervals; a defense that holds stays low all the way.",
    ),
    "loss": (
        "Training",
        "Loss of each denoiser while it was trained, on a log scale; that of a student is its "
        "distance from its teacher, not from the noise.",
    ),
}


def views(boards: Sequence[Board], written: Callable[[Sequence[Mapping[str, Any]]], str]) -> str:
    """The page written with all that fits: what is left out, last first, is named in `left_out`.

    First go the single measurements, then the ROC curves of all but the strongest attacks, then
    what each measurement file was made from; files beside the page hold all of it.
    """
    found = [view(board, place) for place, board in enumerate(boards, start=1)]
    shown = written(found)
    for part in ("measurements", "curves", "cells"):
        pictures = sum(each["pictures"] for each in found)
        if payload.size(shown) - pictures <= BUDGET:
            break
        for each, board in zip(found, boards, strict=True):
            each["left_out"].append(part)
            each["payload"][part] = payload.packed(_less(part, board))
        shown = written(found)
    return shown


def view(board: Board, place: int) -> dict[str, Any]:
    """Everything that the template needs of one board; `place` numbers it from 1."""
    table, measurements, track = board.table, board.measurements, board.track
    stamp = words.stamp(board.verdict, board.controls)
    named = ranked.table(table, measurements, track)
    defenses = [row.name for row in named.rows]
    parts: dict[str, Table | None] = {
        "controls": tables.controls(board.controls, track),
        "board": named,
        **{t.caption: t for t in tables.heats(measurements, table, track)},
        "extraction": extraction.table(measurements, defenses, board.contenders, track),
        "trainings": tables.trainings(board.trainings, track),
    }
    sources, unmet = tables.reported(board.reported, track)
    parts |= {f"reported-{i}": source.table for i, source in enumerate(sources, start=1)}
    made = {name: each for name, each in parts.items() if each is not None}
    drawn = list(_figures(board))
    gallery = _gallery(board.gallery)
    core = {
        "track": track,
        "about": board.about,
        "valid": stamp.kind != "invalid",
        "tables": {name: numbers(each) for name, each in made.items()},
        "entries": [_entry(row) for row in table.to_dict("records")],
        "histograms": payload.counted(board.histograms),
        "gate": board.gate or None,
    }
    images = [f["source"] for f in drawn]
    images += [pair[k] for _, some in gallery for pair in some for k in ("generated", "training")]
    return {
        "place": place,
        "track": track,
        "about": board.about,
        "stamp": stamp,
        "finding": words.finding(table, stamp.kind != "invalid"),
        "tables": parts,
        "accesses": [sees for sees in ACCESS if sees in made],
        "many": any(len(made[sees].columns) > 5 for sees in ACCESS if sees in made),
        "smallest": words.smallest(board.verdict),
        "notes": [_note(row) for row in table.to_dict("records")],
        "samples": _counts(table, "samples"),
        "audited": _counts(table, "audited"),
        "figures": drawn,
        "gallery": gallery,
        "gallery_said": {k: v for k, v in board.gallery.items() if k != "pairs"},
        "reported": sources,
        "unmet": unmet,
        "curves": len(board.curves) > 0,
        "histograms": len(board.histograms) > 0,
        "comparisons": len(board.comparisons) > 0,
        "measurements": len(measurements),
        "left_out": [],
        "pictures": payload.size(*images),
        "payload": {
            "core": payload.packed(core),
            "pairs": payload.packed(payload.compared(board.comparisons)),
            "curves": payload.packed(payload.drawn(board.curves)),
            "config": payload.packed(board.config),
            "cells": payload.packed(payload.made(board.cells)),
            "measurements": payload.packed(payload.measured(measurements)),
        },
    }


def _less(part: str, board: Board) -> Any:
    """What is left of a part that does not fit."""
    if part == "curves":
        found = payload.drawn(board.curves)
        wanted = payload.strongest(board.measurements, ACCESS)
        return {**found, "lines": payload.thinned(found["lines"], wanted)}
    return payload.outlined(payload.made(board.cells)) if part == "cells" else None


def _entry(row: Mapping[Any, Any]) -> dict[str, Any]:
    """What charts and comparisons know of a defense beside its numbers."""
    keys = ("role", "unranked", "group")
    return {"name": str(row["defense"]), **{key: text(row.get(key)) for key in keys}}


def _note(row: Mapping[Any, Any]) -> tuple[str, list[str]]:
    """A defense and what to know about it; `complete` goes without saying."""
    status, unranked = text(row["status"]), text(row.get("unranked"))
    said = [text(row["paper"]), text(row["caveat"]), unranked]
    said += ["" if status == "complete" else status]
    return str(row["defense"]), list(dict.fromkeys(filter(None, said)))


def _counts(table: pd.DataFrame, column: str) -> str:
    counts = sorted(table[column].dropna().unique())
    return " or ".join(f"{count:.0f}" for count in counts) or "an unknown number of"


def _figures(board: Board) -> Iterable[dict[str, str]]:
    """The figures that show something, as data: without a grid of strengths, that over them is
    empty, and without a gallery no picture leaves.
    """
    grids = any(each["plain"] not in ("", each["metric"]) for each in board.contenders)
    off = bool(board.gallery.get("off"))
    kinds = list(CAPTIONS)

    def order(name: str) -> tuple[int, str]:
        kind = name.partition("-")[0]
        return (kinds.index(kind) if kind in kinds else len(kinds)), name

    for name in sorted(board.figures, key=order):
        kind, _, variant = name.partition("-")
        if (kind == "extraction" and not grids) or (off and kind in TAKEN):
            continue
        if kind == "neighbors" and board.gallery.get("pairs"):
            continue
        title, caption = CAPTIONS.get(kind, (name, ""))
        title += f" ({variant})" if variant and kind in CAPTIONS else ""
        png = saved.plainer(board.figures[name], pictures=kind in TAKEN)
        source = f"data:image/png;base64,{b64encode(png).decode()}"
        yield {"kind": kind, "title": title, "caption": caption, "source": source}


def _gallery(gallery: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """defense -> its pictures beside the training images they resemble most, as data."""
    start = "data:image/png;base64,"
    return [
        (
            str(name),
            [
                {**pair, **{key: start + pair[key] for key in ("generated", "training")}}
                for pair in pairs
            ],
        )
        for name, pairs in (gallery.get("pairs") or {}).items()
    ]
