"""Write the page: one file, no request to any host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leakboard import artefacts, measurements
from leakboard.report.page import Board, render
from leakboard.stages import Files

LISTS = {"contenders": ()}
OPTIONAL = ("figures",)


def boards(specs: Mapping[str, Any], files: Files) -> dict[str, dict[str, list[str]]]:
    """track -> its files, of files of all tracks: those in the folder of its table.

    `tables` are in the order of the tracks.
    """
    folders = {t: Path(file).parent for t, file in zip(specs, files["tables"], strict=True)}
    return {
        track: {
            name: [str(f) for f in paths if folder in Path(f).parents]
            for name, paths in files.items()
        }
        for track, folder in folders.items()
    }


def make(specs: Mapping[str, Any], files: Mapping[str, Files]) -> dict[str, Any]:
    """html: the page. By track: specs and files (tables, trainings, measurements, figures)."""
    return {"html": render([_board(track, specs[track], files[track]) for track in specs])}


def _board(track: str, spec: Mapping[str, Any], files: Files) -> Board:
    rows = artefacts.read_table(files["measurements"][0])
    stamp = "INCOMPLETE: some cells lack their numbers." if measurements.lacking(rows) else ""
    return Board(
        track,
        " ".join(filter(None, (stamp, spec["about"]))),
        artefacts.read_csv(files["tables"][0]),
        rows,
        artefacts.read_csv(files["trainings"][0]),
        {Path(file).stem: Path(file).read_bytes() for file in files["figures"]},
        spec["contenders"],
    )
