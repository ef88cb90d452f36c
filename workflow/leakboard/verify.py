"""`leakboard verify`: every number of a board, computed again from the files that it rests on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from leakboard import artefacts, boards, measurements, records, stages
from leakboard.errors import UserError
from leakboard.files import sha256

SHOWN = 20  # differences of one file that are listed one by one


@dataclass
class Track:
    """A track that is being verified: what was looked at, and what was found to differ."""

    root: Path
    name: str
    numbers: int = 0
    hashes: dict[Path, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    skipped: dict[str, list[Path]] = field(default_factory=dict)  # stage -> files not made again

    def __str__(self) -> str:
        """One line: `digits: 2,345 numbers, 310 files: verified`."""
        count = len(self.differences)
        verdict = f"{count} difference{'s' * (count != 1)}" if count else "verified"
        there = len(self.hashes.keys() - self.left_out.keys())
        return f"{self.name}: {self.numbers:,} numbers, {there:,} files: {verdict}"

    @cached_property
    def records(self) -> dict[str, dict[str, Any]]:
        return boards.recorded(self.root, self.name)

    @cached_property
    def left_out(self) -> dict[Path, str]:
        """Where what was not packed with the board would be, and its SHA-256."""
        left = boards.left_out(self.root, self.name).items()
        return {boards.place(self.root, path): found for path, found in left}

    def verify(self) -> Track:
        """Itself, after all has been looked at."""
        for file in boards.measured(self.root, self.name):
            self._try(file, self._measurement)
        for stage in filter(self.records.__contains__, stages.VERIFIED):
            self._try(self.root / self.name / "records" / f"{stage}.json", self._made)
        return self

    def _try(self, file: Path, check: Any) -> None:
        try:
            check(file)
        except UserError as error:
            self.differences.append(str(error))
        except Exception as error:  # whatever is wrong with one file, the others are looked at
            self.differences.append(
                f"{file}: cannot be made again: {type(error).__name__}: {error}"
            )

    def _measurement(self, file: Path) -> None:
        content = measurements.read(file)
        self.numbers += len(content["rows"])
        files = self._inputs(file, content)
        if files is None:
            return
        if content["stage"] not in stages.MEASURED:
            raise UserError(f"{file}: '{content['stage']}' is not a stage that measures")
        cells = stages.load(content["stage"]).measure(content["spec"], files)
        found = json.loads(artefacts.json_text(measurements.rows(cells)))
        self._note(file, rows_apart(content["rows"], found))

    def _made(self, file: Path) -> None:
        content = records.read(file)
        files = self._inputs(file, content)
        if files is None:
            return
        made = stages.load(content["stage"]).make(content["spec"], files)
        for name, path in content["outputs"].items():
            there = boards.place(self.root, path)
            if there.exists():
                self._note(there, contents_apart(there, content["spec"], made[name]))
            else:
                self.differences.append(f"{there}: missing")

    def _inputs(self, file: Path, content: Mapping[str, Any]) -> dict[str, list[Path]] | None:
        """The files that something was made from, hashed; None where one of them is missing."""
        files: dict[str, list[Path]] = {}
        whole = True
        for name, pairs in content["inputs"].items():
            files[name] = [boards.place(self.root, path) for path, _ in pairs]
            for path, (_, recorded) in zip(files[name], pairs, strict=True):
                if path not in self.hashes:
                    self.hashes[path] = sha256(path) if path.exists() else ""
                found = self.hashes[path]
                if not found and self.left_out.get(path) == recorded:
                    whole = False
                    skipped = self.skipped.setdefault(content["stage"], [])
                    skipped += [file] if file not in skipped else []
                elif not found:
                    self.differences.append(f"{path}: missing; {file} rests on it")
                    whole = False
                elif found != recorded:
                    said = f"recorded {recorded[:16]}, found {found[:16]} (SHA-256)"
                    self.differences.append(f"{path}: {said}; {file} rests on it")
        return files if whole else None

    def _note(self, file: Path, differences: Iterable[str]) -> None:
        found = [f"{file}: {each}" for each in differences]
        self.differences += found[:SHOWN]
        if len(found) > SHOWN:
            self.differences.append(f"{file}: {len(found) - SHOWN} more differences")


def main(root: Path) -> int:
    """Print what is found of each track; 0 where nothing differs, else 1."""
    code = 0
    for name in boards.tracks(root):
        track = Track(root, name).verify()
        print(track, *(f"  {each}" for each in track.differences), sep="\n", flush=True)
        if track.skipped:
            some = ", ".join(f"{stage} ({len(files)})" for stage, files in track.skipped.items())
            left = track.root / name / boards.LEFT_OUT
            print(f"  not computed again: {some} files, for what they rest on was left out: {left}")
        code |= bool(track.differences)
    return code


def rows_apart(
    recorded: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """In what measured rows differ, in words; absent equals absent."""
    old, new = ({(r["digest"], r["metric"]): r for r in rows} for rows in (recorded, found))
    for key in dict.fromkeys([*old, *new]):
        name = measurements.name_of(old.get(key) or new[key])
        if key not in new:
            yield f"{name} (digest {key[0]}): recorded, and not found"
        elif key not in old:
            yield f"{name} (digest {key[0]}): found, and not recorded"
        else:
            yield from _cells_apart(name, old[key], new[key])
    if len(recorded) != len(old):
        yield f"{len(recorded) - len(old)} rows are there twice"


def contents_apart(file: Path, spec: Mapping[str, Any], made: Any) -> Iterator[str]:
    """In what a file differs from what should be in it, in words."""
    if file.suffix == ".parquet":
        table = artefacts.read_table(file, artefacts.digest(spec))
        if list(table.columns) != list(made.columns):
            yield f"columns: recorded {list(table.columns)}, found {list(made.columns)}"
            return
        said = artefacts.csv_text(table.astype(made.dtypes.to_dict()))
        yield from _lines_apart(said, artefacts.csv_text(made))
    elif file.suffix == ".csv":
        yield from _lines_apart(file.read_bytes().decode(), artefacts.csv_text(made))
    elif file.read_bytes() != records.as_bytes(file, made):
        yield "differs from what its inputs say"


def _lines_apart(recorded: str, found: str) -> Iterator[str]:
    if recorded == found:
        return
    old, new = (list(csv.reader(io.StringIO(text))) for text in (recorded, found))
    if old[0] != new[0]:
        yield f"columns: recorded {','.join(old[0])}, found {','.join(new[0])}"
    elif len(old) != len(new):
        yield f"recorded {len(old) - 1} rows, found {len(new) - 1}"
    else:
        for number, (row, other) in enumerate(zip(old, new, strict=True)):
            named = (dict(zip_longest(new[0], cells, fillvalue="")) for cells in (row, other))
            yield from _cells_apart(f"row {number}", *named)


def _cells_apart(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*old, *new]):
        if (old.get(key), type(old.get(key))) != (new.get(key), type(new.get(key))):
            yield f"{name}: {key}: recorded {old.get(key)!r}, found {new.get(key)!r}"
