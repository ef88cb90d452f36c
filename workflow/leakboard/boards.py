"""Boards on disk: the tracks of a results folder, and where the files of their records are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from leakboard import artefacts, measurements, records, stages
from leakboard.digests import canonical
from leakboard.errors import UserError
from leakboard.files import sha256
from leakboard.stages import DERIVED

RESULTS = "results"  # the folder that every recorded path begins with
LEFT_OUT = "left-out.json"  # of a track: what it rests on and was not packed with it
TIMES = ("network", "defense", "sampler", "seed")  # what names a job, of which there may be shards


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


def left_out(root: Path, track: str) -> dict[str, str]:
    """Recorded path -> SHA-256 of each file that a track rests on and that was not packed."""
    file = root / track / LEFT_OUT
    return artefacts.read_json(file) if file.exists() else {}


@dataclass(eq=False)
class Source:
    """A track of one of the folders: its records, and its measurement files by recorded path."""

    root: Path
    track: str
    shown: str = ""  # in messages, in place of the folder
    left_out: dict[str, str] = field(init=False)
    records: dict[str, dict[str, Any]] = field(init=False)
    cells: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.records = recorded(self.root, self.track)
        self.left_out = left_out(self.root, self.track)
        needed = [stage for stage in DERIVED if stage != "figures" or not self.left_out]
        if lacking := [stage for stage in needed if stage not in self.records]:
            raise UserError(
                f"{self}/{self.track}: not a finished board, for it lacks what is made by "
                f"{', '.join(lacking)}; finish it with `leakboard run`"
            )
        pairs = [pair for some in self.records["gather"]["inputs"].values() for pair in some]
        self.cells = {p: measurements.read(self.whole(p, found)) for p, found in pairs}

    def __str__(self) -> str:
        return self.shown or str(self.root)

    def at(self, path: str) -> Path:
        """Where a recorded path is."""
        return place(self.root, path)

    def whole(self, path: str, recorded: str) -> Path:
        """Where a recorded path is; UserError unless its file is as it was."""
        file = self.at(path)
        if not file.exists() or sha256(file) != recorded:
            what = "not what it was" if file.exists() else "missing"
            raise UserError(f"{file}: {what}; see `leakboard verify --root {self}`")
        return file

    def leaves(self) -> dict[str, str]:
        """Recorded path -> SHA-256 of each file that the board rests on and that is only copied."""
        made = {path for record in self.records.values() for path in record["outputs"].values()}
        contents = [*self.cells.values(), *self.records.values()]
        pairs = [pair for c in contents for some in c["inputs"].values() for pair in some]
        return {p: found for p, found in pairs if p not in made and p not in self.cells}

    def timed(self) -> dict[str, str]:
        """Recorded path -> job, of each file that says what a job took: no two take the same."""
        found = {}
        for stage, record in self.records.items():
            for name in getattr(stages.load(stage), "TIMED", ()):
                for path, _ in record["inputs"][name]:
                    said = artefacts.read_json(self.at(path))
                    found[path] = canonical({k: said.get(k) for k in TIMES})
        return found
