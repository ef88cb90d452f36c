"""The board of what there is: when something failed, tables and a page with the reason in each gap.

It is written beside the results, so that it replaces no complete board, and no later run takes it
for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from leakboard import boards, lists, logs, measurements, records, stages
from leakboard.digests import canonical, digest
from leakboard.errors import UserError
from leakboard.job import explain

Spec = Mapping[str, Any]
Job = Mapping[str, Any]  # rule, title, track, log, inputs (name -> paths); of a stage also its spec
ENDED = re.compile(r"interrupted|process \d+, which this one works for, ended")
FOLDER = f"{boards.RESULTS}/incomplete"


class Incomplete:
    """What there is of all that a page rests on. jobs: by the path of each file that they make.

    A file that its job has yet to make (`undone`) is not there, though an old one may be.
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self.jobs: dict[str, Job] = json.loads(canonical(jobs))  # as jobs are told their specs
        self.made: dict[str, str] = {}  # path of a table or picture -> where it is instead
        self.rows: dict[str, list[dict[str, Any]]] = {}  # track -> rows
        self.unmade: list[str] = []  # why a stage could not be done with what there is
        self.unread: dict[str, str] = {}  # measurement file -> what is wrong with it or its inputs
        self.known: dict[str, tuple[str, str]] = {}
        self.digests: dict[str, str] = {}  # stage -> that of its spec, as made

    def job(self, stage: str, track: str = "") -> Job:
        """The job of a stage of which each track has one, or none has more."""
        found = (job for job in self.jobs.values() if job["rule"] == stage)
        return next(job for job in found if job["track"] == track)

    def there(self, *files: str) -> bool:
        """Whether all files are there, and none of them turned out to be damaged."""
        jobs = (self.jobs.get(file) for file in files)
        whole = all(Path(f).exists() and f not in self.unread for f in files)
        return whole and not any(j and j["undone"] for j in jobs)

    def gather(self) -> None:
        """Collect all rows: as measured, measured now, or with the reason why not."""
        for track in self.job("page")["spec"]:
            job = self.job("gather", track)
            paths = [p for stage in job["spec"]["digests"] for p in job["inputs"].get(stage, [])]
            self.rows[track] = [row for path in paths for row in self._cells(path)]

    def write(self) -> None:
        """Make the tables, the pictures and the page, as well as can be."""
        for track, rows in self.rows.items():
            job = self.job("gather", track)
            spec = {**job["spec"], "incomplete": True}
            table = measurements.table(rows)
            self._write(job, spec, {"csv": table, "parquet": table})
            self.digests = {"gather": digest(spec)}
            for stage in stages.DERIVED:
                if stage not in ("gather", "page"):
                    self._make(self.job(stage, track))
        page = self.job("page")
        module, files, specs = stages.load("page"), {}, {}
        for track, given in module.boards(page["spec"], page["inputs"]).items():
            here = self._given(module, page["spec"][track], given)
            if here:
                specs[track], files[track] = here
        self._write(page, page["spec"], module.make(specs, files))

    def _cells(self, path: str) -> Iterator[dict[str, Any]]:
        """The rows of a measurement file, as they should be."""
        job = self.jobs[path]
        cells, module = measurements.cells(job["spec"]), stages.load(job["rule"])
        found: dict[str, list[dict[str, Any]]] = {}
        try:
            for row in measurements.read(path)["rows"] if self.there(path) else ():
                found.setdefault(row["digest"], []).append(row)
        except UserError as error:
            self.unread[path] = str(error)
        lacking = [cell for cell in cells if digest(cell) not in found]
        if lacking and "cells" in job["spec"] and not last_words(job["log"]):
            try:
                for row in self._measured(module, job, lacking):
                    found.setdefault(row["digest"], []).append(row)
            except UserError as error:
                self.unread[path] = str(error)
        for cell in cells:
            status, note = ("", "") if digest(cell) in found else self._why_not(path, cell)
            absent = measurements.absent(cell, module.promised(cell), status, note)
            yield from found.get(digest(cell), absent)

    def _measured(self, module: Any, job: Job, cells: Sequence[Spec]) -> list[dict[str, Any]]:
        """The rows of those cells of a file whose own inputs are there."""
        whole = (job["spec"], job["inputs"])
        spec, files, lost = lists.cut(module.LISTS, *whole, lambda _, paths: self.there(*paths))
        if not all(self.there(*paths) for paths in files.values()):
            return []
        spec["cells"] = [c for c in cells if not any(item in canonical(c) for item in lost)]
        return measurements.rows(module.measure(spec, files)) if spec["cells"] else []

    def _why_not(self, path: str, cell: Spec) -> tuple[str, str]:
        """Status and note of a cell without numbers: what failed, of its own inputs alone."""
        if path in self.unread:
            return "failed", self.unread[path]
        job = self.jobs[path]
        if "cells" not in job["spec"] or last_words(job["log"]):
            return self._why(path)
        told, text = stages.load(job["rule"]).LISTS, canonical(cell)
        _, files, _ = lists.cut(told, job["spec"], job["inputs"], lambda item, _: item in text)
        return self._first([f for paths in files.values() for f in paths])

    def _first(self, files: Sequence[str]) -> tuple[str, str]:
        """Why the first of these files whose job failed is not there."""
        every = (self._why(file) for file in files if not self.there(file))
        return next((each for each in every if each[0] == "failed"), ("missing", "not run"))

    def _why(self, path: str) -> tuple[str, str]:
        """Why a file is not there: the last words of the job that should have made it, or of one
        that this job waits for.
        """
        if path not in self.known:
            self.known[path] = self._reason(path)
        return self.known[path]

    def _reason(self, path: str) -> tuple[str, str]:
        job = self.jobs.get(path)
        if job is None:
            return "failed", f"{path} is missing, and nothing makes it"
        if words := last_words(job["log"]):
            return failure(job, words)
        if interrupted(job["log"]):
            return "missing", f"{job['title']} was interrupted"
        inputs = [file for paths in job["inputs"].values() for file in paths]
        ended = Path(job["log"]).exists() and not Path(path).exists()
        if ended and self.there(*inputs):
            return failure(job, f"it ended without a result, and its log ({job['log']}) is silent")
        return self._first(inputs)

    def _make(self, job: Job) -> None:
        """What a stage makes, of what there is."""
        module, spec = stages.load(job["rule"]), dict(job["spec"])
        meant = {key: stage for key, stage in stages.MEANT.items() if key in spec}
        spec |= {key: self.digests[s] for key, s in meant.items() if s in self.digests}
        given = self._given(module, spec, job["inputs"])
        if given is None:
            self.unmade.append(f"{job['title']}: what it needs is not there")
            return
        try:
            self._write(job, given[0], module.make(*given))
            self.digests[job["rule"]] = digest(given[0])
        except Exception as error:  # made for whole boards: the others are worth more than its name
            why = explain(error) or f"{type(error).__name__}: {error}"
            self.unmade.append(f"{job['title']}: {why}")

    def _given(
        self, module: Any, spec: Spec, files: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, Any], dict[str, list[str]]] | None:
        """Spec and files of what is there; None where something lacks that cannot be left out."""
        moved = {n: [self.made.get(f, f) for f in paths] for n, paths in files.items()}
        told = getattr(module, "LISTS", {})
        aligned = {name for names in told.values() for name in names}
        for name in set(getattr(module, "OPTIONAL", ())) - aligned:
            moved[name] = [f for f in moved.get(name, []) if self.there(f)]
        cut, left, _ = lists.cut(told, spec, moved, lambda _, paths: self.there(*paths))
        return (cut, left) if all(self.there(*paths) for paths in left.values()) else None

    def _write(self, job: Job, spec: Spec, made: Mapping[str, Any]) -> None:
        outputs = {name: job["outputs"][name] for name in made}
        places = {path: str(boards.place(Path(FOLDER), path)) for path in outputs.values()}
        records.contents({name: places[path] for name, path in outputs.items()}, spec, made)
        self.made |= places


def main(jobs: Mapping[str, Job], after_failure: bool = False) -> str:
    """Write the board of what there is into FOLDER; what to say of it, in words.

    After a failure, whose reason the run has said already, that is one line; and nothing is written
    or said after a run that ended although no job of it failed.
    Raises UserError where no cell has its numbers.
    """
    this = Incomplete(jobs)
    this.gather()
    table = measurements.table([row for rows in this.rows.values() for row in rows])
    lacking = len(measurements.lacking(table))
    if after_failure and not (table["status"] == "failed").any():
        return ""
    if table["status"].isin(measurements.LACKING).all():
        raise UserError("no cell of the board has its numbers yet")
    this.write()
    (page,) = (path for path in this.made.values() if path.endswith(".html"))
    cells = table["digest"].nunique()
    first = f"{lacking} of {cells} cells lack their numbers; what there is: {page}"
    if after_failure:
        return first
    lines = [*measurements.reasons(table), *(f"without {each}" for each in this.unmade)]
    return "\n  ".join([first, *lines])


def last_words(log: str) -> str:
    """What a failed job said last, from its log, on one line; "" where it said nothing."""
    return "" if interrupted(log) else _message(log)


def interrupted(log: str) -> bool:
    """Whether a job ended because its workflow did."""
    end = logs.ending(Path(log))
    return bool(ENDED.fullmatch(_message(log)) or (end and end.how == "stopped"))


def _message(log: str) -> str:
    """The last message that `leakboard.job` wrote into a log, on one line."""
    with suppress(OSError):
        _, found, message = f"\n{logs.said(Path(log))}".rpartition("\nleakboard: ")
        return " ".join(message.split()) if found else ""
    return ""


def failure(job: Job, words: str) -> tuple[str, str]:
    """Status and note of what waits for a job that failed."""
    return "failed", f"{job['title']} failed: {words}"
