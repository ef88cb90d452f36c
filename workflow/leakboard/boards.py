"""Boards on disk: the tracks of a results folder, and where the files of their records are."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from leakboard import records
from leakboard.errors import UserError
from leakboard.stages import DERIVED

RESULTS = "results"  # the folder that every recorded path begins with


def tracks(root: Path) -> list[str]:
    """The names of the tracks in a results folder that have measurements; UserError: none."""
    found = sorted(folder.parent.name for folder in root.glob("*/measurements") if folder.is_dir())
    if not found:
        raise UserError(f"{root}: no measurements of any track in it; expected a results folder")
    return found


def place(root: Path, path: str) -> Path:
    """Where a recorded path is, in a results folder that may have been moved.

    Raises UserError for a path that does not lead into the results folder.
    """
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or parts[0] != RESULTS or ".." in parts:
        raise UserError(f"{path}: not the path of a result, which begins with '{RESULTS}/'")
    return root.joinpath(*parts[1:])


def recorded(root: Path, track: str) -> dict[str, dict[str, Any]]:
    """stage -> record, of the stages of a track whose tables or pictures were made, in order."""
    folder = root / track / "records"
    files = {stage: folder / f"{stage}.json" for stage in DERIVED}
    return {stage: records.read(file) for stage, file in files.items() if file.exists()}


def measured(root: Path, track: str) -> list[Path]:
    """The measurement files of a track's table, in its order; all there are where it has none."""
    made = recorded(root, track).get("gather")
    if made is None:
        return sorted((root / track / "measurements").rglob("*.json"))
    return [place(root, path) for files in made["inputs"].values() for path, _ in files]
