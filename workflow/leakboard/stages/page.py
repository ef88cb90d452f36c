"""Write the page: one file, no request to any host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from leakboard import artefacts, measurements
from leakboard.report.page import Board, render
from leakboard.stages import Files

LISTS = {"contenders": ()}
OPTIONAL = ("figures", "curves", "histograms", "gallery", "cells", "reported")


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
    """html: the page. By track: specs and files, of names as in the rule."""
    return {"html": render([_board(track, specs[track], files[track]) for track in specs])}


def _board(track: str, spec: Mapping[str, Any], files: Files) -> Board:
    def table(name: str) -> pd.DataFrame:
        return artefacts.read_csv(files[name][0]) if files[name] else pd.DataFrame()

    return Board(
        track=track,
        about=spec["about"],
        table=table("tables"),
        measurements=artefacts.read_table(files["measurements"][0]),
        trainings=table("trainings"),
        comparisons=table("comparisons"),
        controls=table("controls"),
        verdict=artefacts.read_json(files["verdicts"][0]),
        reported=table("reported"),
        cells=[_cell(track, file) for file in files["cells"]],
        config=spec["config"],
        curves=table("curves"),
        histograms=table("histograms"),
        gallery=artefacts.read_json(files["gallery"][0]) if files["gallery"] else {},
        figures={Path(file).stem: Path(file).read_bytes() for file in files["figures"]},
        contenders=spec["contenders"],
        gate=spec["gate"],
    )


def _cell(track: str, path: str | Path) -> dict[str, Any]:
    """A measurement file as the page shows it: where its log is, and how to make it anew."""
    made = measurements.read(path)
    parts, stage = PurePosixPath(path).parts, made["stage"]
    start = (track, "measurements", stage)  # wherever the results are now
    at = next(i for i in range(len(parts)) if parts[i : i + 3] == start)
    shown = str(PurePosixPath("results", *parts[at:]))
    rest = PurePosixPath(*parts[at + 3 :]).with_suffix(".log")
    return {
        **{key: made[key] for key in ("stage", "spec", "inputs")},
        "path": shown,
        "command": f"leakboard run {shown} --force",
        "log": str(PurePosixPath("results/logs", stage, track, rest)),
    }
