"""`leakboard merge`: the boards of several machines as one, with every file that they rest on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from leakboard import artefacts, boards, bundle, drawings, lists, measurements, records, stages
from leakboard.boards import Source
from leakboard.digests import canonical, digest
from leakboard.errors import UserError
from leakboard.files import atomic, write_bytes
from leakboard.verify import rows_apart

NEW = ("digests", *stages.MEANT)  # what a merged board says for itself
SHARE = "let the machines share that file, or leave it to one of them"
SLOWER = "drawn on another machine than none, with which its sampling time is compared"


class Track:
    """A track of the merged board."""

    def __init__(self, sources: Sequence[Source], to: Path) -> None:
        self.sources, self.to, self.name = sources, to, sources[0].track
        self.spec: dict[str, Any] = {}  # of the page, and its files
        self.files: dict[str, list[Path]] = {}
        self.specs: dict[str, dict[str, Any]] = {}  # of measurement files, by recorded path
        self.left_out: dict[str, str] = {}  # of what no source has
        self.owners: dict[str, Source] = {}  # job -> where its time was taken
        self.times = {source: source.timed() for source in sources}
        for source, timed in self.times.items():
            for job in timed.values():
                self.owners.setdefault(job, source)

    def at(self, path: str) -> Path:
        """Where a recorded path is, on the merged board."""
        return boards.place(self.to, path)

    def write(self) -> None:
        """Write all but the page, which takes `spec` and `files`."""
        self._copy()
        needed: set[str] = set()  # by measurements
        for path in dict.fromkeys(path for source in self.sources for path in source.cells):
            needed |= {p for pairs in self._measured(path)["inputs"].values() for p, _ in pairs}
        made: dict[str, dict[str, Any]] = {}
        for stage in stages.DERIVED:
            if not all(stage in source.records for source in self.sources):
                continue  # figures, without pictures
            spec, files = self._joined(stage)
            if stage == "figures" and self.left_out.keys() & {p for f in files.values() for p in f}:
                continue
            asked = self.sources[0].records[stage]["spec"]
            if stage == "gather":
                every = ((name, files.get(name, [])) for name in asked["digests"])
                spec["digests"] = {name: [self._digests(f) for f in some] for name, some in every}
            elif "digests" in asked:
                spec["digests"] = made["gather"]["digests"]
            meant = {key: of for key, of in stages.MEANT.items() if key in asked}
            made[stage] = spec | {key: digest(made[of]) for key, of in meant.items()}
            if stage == "page" and "figures" not in made:
                files = {n: [p for p in some if self.at(p).exists()] for n, some in files.items()}
            self._make(stage, made[stage], files)
        if left := {path: self.left_out[path] for path in sorted(self.left_out) if path in needed}:
            artefacts.write_json(self.to / self.name / boards.LEFT_OUT, left)

    def _digests(self, path: str) -> list[str]:
        return [digest(cell) for cell in measurements.cells(self.specs[path])]

    def _copy(self) -> None:
        """Copy the files that nobody makes anew."""
        claims: dict[str, tuple[str, Source]] = {}
        conflicts = []
        for source in self.sources:
            for path, found in source.leaves().items():
                if not self._keeps(source, path):
                    continue
                if claims.setdefault(path, (found, source))[0] != found:
                    conflicts.append((path, claims[path][1], source))
                elif path in claims[path][1].left_out:
                    claims[path] = (found, source)
        if conflicts:
            raise self._conflict(conflicts)
        for path, (recorded, source) in claims.items():
            if path in source.left_out:
                self.left_out[path] = recorded
                continue
            file = source.whole(path, recorded)
            self.at(path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, self.at(path))

    def _keeps(self, source: Source, path: str) -> bool:
        """Whether a file is taken from a source: what a job took, from the first that ran it."""
        job = self.times[source].get(path)
        return job is None or self.owners[job] is source

    def _conflict(self, conflicts: Sequence[tuple[str, Source, Source]]) -> UserError:
        """What to say of files that differ: where two settings do, that comes first."""
        said = []
        for path, one, other in conflicts:
            specs = [artefacts.spec_of(source.at(path)) for source in (one, other)]
            if specs[0] != specs[1]:
                said += [(path, *pair, one, other) for pair in apart(*specs)]
        path, one, other = conflicts[0]
        if not said:
            return UserError(
                f"{path}: made under one configuration, and yet it differs between {one} and "
                f"{other}; {SHARE}"
            )
        settings = [each for each in said if not all(is_digest(value) for value in each[2:4])]
        path, key, old, new, one, other = [*settings, *said][0]
        return UserError(
            f"{path}: made under two configurations: {key} is {old!r} in {one}, {new!r} in {other}"
        )

    def _measured(self, path: str) -> dict[str, Any]:
        """Put the cells of a measurement file together; its content."""
        claims = [(source, source.cells[path]) for source in self.sources if path in source.cells]
        held: dict[str, tuple[Source, Any, list[Any]]] = {}
        for source, content in claims:
            for cell in measurements.cells(content["spec"]):
                rows = [row for row in content["rows"] if row["digest"] == digest(cell)]
                name = canonical({**cell["about"], "reported": None})
                self._agree(path, held.setdefault(name, (source, cell, rows)), (source, cell, rows))
        content = claims[0][1]
        if "cells" in content["spec"]:
            told = stages.load(content["stage"]).LISTS
            specs, inputs = ([c[key] for _, c in claims] for key in ("spec", "inputs"))
            where = [str(source) for source, _ in claims]
            spec, files = lists.join(told, specs, inputs, where)
            spec["cells"].sort(key=lambda cell: cell["about"]["defense"])
            names = (canonical({**cell["about"], "reported": None}) for cell in spec["cells"])
            rows = [row for name in names for row in held[name][2]]
            content = {**content, "spec": spec, "inputs": files, "rows": rows}
        self.specs[path] = content["spec"]
        artefacts.write_json(self.at(path), content)
        return content

    def _agree(self, path: str, one: tuple[Source, Any, Any], two: tuple[Source, Any, Any]) -> None:
        """Refuse a cell that was made under two configurations, or that has two sets of numbers."""
        for key, old, new in apart(one[1], two[1]):
            raise UserError(
                f"{path}: a cell of {one[1]['about']['defense'] or self.name} was measured under "
                f"two configurations: {key} is {old!r} in {one[0]}, {new!r} in {two[0]}"
            )
        for words in rows_apart(one[2], two[2]):
            words = words.replace("recorded", f"{one[0]} says").replace("found", f"{two[0]} says")
            raise UserError(f"{path}: the same cell has two sets of numbers: {words}; {SHARE}")

    def _joined(self, stage: str) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """The spec and the files of a stage, of all sources."""
        told = getattr(stages.load(stage), "LISTS", {})
        made = [source.records[stage] for source in self.sources]
        specs = [{k: v for k, v in r["spec"].items() if k not in NEW} for r in made]
        files = [
            {n: [p for p, _ in pairs if self._keeps(s, p)] for n, pairs in r["inputs"].items()}
            for s, r in zip(self.sources, made, strict=True)
        ]
        try:
            spec, joined = lists.join(told, specs, files, [str(source) for source in self.sources])
        except UserError as error:
            raise UserError(f"{self.name}: {stage}: {error}") from None
        if "contenders" in spec:
            spec["contenders"].sort(key=drawings.order)
        for name in self._slower() if stage == "rank" else ():
            entry = spec["defenses"][name]
            said = "; ".join(filter(None, [entry["caveat"], SLOWER]))
            spec["defenses"] = {**spec["defenses"], name: {**entry, "caveat": said}}
        return json.loads(canonical(spec)), joined

    def _slower(self) -> list[str]:
        """The defenses whose time is compared with that of another machine's `none`."""
        drawn = {job: json.loads(job)["defense"] for job in self.owners}
        plain = {job: owner for job, owner in self.owners.items() if drawn[job] == "none"}

        def apart(source: Source) -> bool:
            """Whether the source took another time for `none` than the one that is kept."""
            leaves, timed = source.leaves(), self.times[source]
            mine = [path for path, job in timed.items() if job in plain]
            return any(plain[timed[p]].leaves().get(p) != leaves[p] for p in mine)

        slower = {source for source in self.sources if apart(source)}
        every = {drawn[job] for job, owner in self.owners.items() if owner in slower}
        return sorted(filter(None, every))

    def _make(self, stage: str, spec: dict[str, Any], files: Mapping[str, Sequence[str]]) -> None:
        """Make what a stage makes, and record it."""
        placed = {name: [self.at(path) for path in paths] for name, paths in files.items()}
        outputs = self.sources[0].records[stage]["outputs"]
        if stage == "page":
            self.spec, self.files = spec, placed
        else:
            made = stages.load(stage).make(spec, placed)
            records.contents({name: self.at(outputs[name]) for name in made}, spec, made)
        record = self.to / self.name / "records" / f"{stage}.json"
        records.record(record, spec, files, outputs, self.at)


def main(folders: Sequence[Path], to: Path) -> None:
    """Write the union of the boards in some results folders into another, which must be new.

    In place of a folder there may be a bundle. A board of bundles without pictures has no figures.

    Raises UserError, naming both folders, where the same name was made under two configurations,
    where the same cell has two sets of numbers, or where a file is not what its board says.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"{to}: is there already; name a folder that is not")
    with ExitStack() as stack, atomic(to) as folder:
        roots = {root: stack.enter_context(bundle.opened(root)) for root in folders}
        where = {root: boards.tracks(at) for root, at in roots.items()}
        specs, files = {}, {}
        for name in sorted({name for names in where.values() for name in names}):
            sources = [
                Source(roots[root], name, str(root))
                for root, names in where.items()
                if name in names
            ]
            track = Track(sources, folder)
            track.write()
            specs[name], files[name] = track.spec, track.files
            from_ = ", ".join(map(str, sources))
            print(f"{name}: {len(track.specs):,} measurement files of {from_}")
            if "figures" not in boards.recorded(folder, name):
                print("  without figures, for a bundle without pictures is among them")
        html = stages.load("page").make(specs, files)["html"]
        write_bytes(folder / "leaderboard.html", html.encode())
    print(f"The page: {to / 'leaderboard.html'}")


def apart(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, value, other value) of everything in which two specs differ, by dotted keys."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys([*one, *other]):
            yield from apart(one.get(name), other.get(name), f"{key}.{name}".lstrip("."))
    elif one != other:
        yield key, one, other


def is_digest(value: Any) -> bool:
    """Whether a value names a spec, and says nothing of what is in it."""
    return isinstance(value, str) and len(value) == 16 and set(value) <= set("0123456789abcdef")
