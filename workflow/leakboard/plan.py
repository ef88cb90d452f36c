"""Pure functions of the configuration: what the leaderboard is made from.

Specs and digests as in `leakboard.specs`. Imports nothing heavy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from leakboard import drawings
from leakboard.config import LEAKS, Resolved
from leakboard.digests import Told, digest
from leakboard.measured import Measured
from leakboard.names import PLAIN
from leakboard.specs import Spec

__all__ = ["PLAIN", "Plan", "Spec"]


# Asked for again and again: the names below from each spec, a spec from each that rests on it.
LOOKED_UP = (
    *("network", "teachers_of", "needed_by", "chain", "role", "screens", "measure_of", "kind"),
    *("seeds_of", "knows_classes", "targets", "asked", "asks", "audited", "kin", "sampler"),
    *("guide_of", "drawn_from", "samplers", "keeps", "bare", "attacked", "scored", "shards"),
    *("cells", "digests", "extractor", "guard", "subset", "train", "deduplicate", "relabel"),
    *("samples", "embed_pools", "embed", "background", "similarity", "attack", "audit"),
    *("gather", "compare"),
)


def remembered(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which works out each answer once; nobody may change one."""
    signature, known = inspect.signature(method), {}
    order = list(signature.parameters)
    defaults = {p.name: p.default for p in signature.parameters.values()}

    def answer(*given: Any, **named: Any) -> Any:
        rest = order[len(given) :]
        key = (*given, *(named[name] if name in named else defaults[name] for name in rest))
        if key not in known:
            found = method(*key)
            known[key] = Told(found) if isinstance(found, dict) else found
        return known[key]

    return answer


class Plan(Measured):
    """The specs of a track: methods named like a stage return what that stage's job is told."""

    def __init__(self, board: Resolved, precision: Mapping[str, str] | None = None) -> None:
        """precision: of the networks of a stage, where it is not fp32; see `leakboard.settings`."""
        super().__init__(board)
        self.precision = precision or {}
        for name in LOOKED_UP:
            setattr(self, name, remembered(getattr(self, name)))

    def gather(self) -> Spec:
        return {"stage": "gather", "digests": self.digests()}

    def digests(self) -> dict[str, list[list[str]]]:
        """measurement stage -> of each of its files, the digests that its rows must carry."""
        return {
            stage: [[digest(cell) for cell in self.measured(stage, **names)] for names in files]
            for stage, files in self.cells().items()
        }

    def measured(self, stage: str, **names: Any) -> list[Spec]:
        """The cells in a file of a measurement stage; most hold one."""
        spec = getattr(self, stage)(**names)
        return spec.get("cells", [spec])

    def rank(self) -> Spec:
        entries = self.board.defenses.items()
        judges = self.track.evaluation
        return {
            "stage": "rank",
            "track": self.board.name,
            "gathered": digest(self.gather()),
            "defenses": {
                name: {
                    "role": self.role(name),
                    "paper": entry.paper,
                    "caveat": self._caveat(name),
                    "attacks": [pair for pair in self.attacks if name in self.audited(*pair)],
                }
                for name, entry in entries
            },
            "headline": {
                "copies": f"copy_rate:{judges.copies}",
                "quality": f"fid:{judges.quality}",
            },
            "trainings": {
                name: self.closure([*self.networks_of(name), *self.eyes_of(name)])
                for name, _ in entries
            },
            "networks": {name: self._lesson(name) for name in self.every_training},
            "contenders": drawings.contenders(self),
            "gate": judges.gate,
            "calibration": judges.calibration,
            "members": self.track.subset.members,
            **({} if set(judges.leaks) == set(LEAKS) else {"leaks": sorted(judges.leaks)}),
            "compared": digest(self.compare()),
            "digests": self.digests(),
        }

    def compare(self) -> Spec:
        """Every two defenses on the same images and noise: whose pictures, whose scores.

        copies: defense -> of each seed, the digest of its similarities; leaks: access -> defense ->
        attack -> of each seed, target -> digest of the scores; `tables` and `scores` are the
        digests of the files, each once.
        """
        judges, seeds = self.track.evaluation, self.track.seeds
        cells = {
            (sees, attack, name, seed): self.audit(attack, sees, name, seed)
            for attack, sees in self.attacks
            if sees != "nothing"
            for name in self.audited(attack, sees)
            for seed in seeds
        }
        leaks: Spec = {}
        for (sees, attack, name, _), cell in cells.items():
            attacks = leaks.setdefault(sees, {}).setdefault(name, {})
            asked = dict(zip(cell["targets"], cell["scores"], strict=True))
            attacks.setdefault(attack, []).append(asked)
        return {
            "stage": "compare",
            "track": self.board.name,
            "background": digest(self.background(judges.copies)),
            "calibration": judges.calibration,
            "copies": {
                name: [digest(self.similarity(judges.copies, name, PLAIN, s)) for s in seeds]
                for name in self.board.defenses
            },
            "leaks": leaks,
            "tables": [
                digest(self.similarity(judges.copies, name, PLAIN, seed))
                for name, seed in self.every_picture
            ],
            "scores": [digest(self.attack(*names)) for names in self.every_score],
        }

    def quote(self) -> Spec:
        return {"stage": "quote"}

    def cite(self) -> Spec:
        """What papers report beside what is measured; entries of a family count as one attack."""
        judges = self.track.evaluation
        families = filter(None, (entry.family for entry in self.board.attacks.values()))
        return {
            "stage": "cite",
            "track": self.board.name,
            "gathered": digest(self.gather()),
            "defenses": sorted(self.board.defenses),
            "attacks": sorted({*self.board.attacks, *families}),
            "told": sorted(filter(self.knows_classes, self.board.defenses)),
            "judges": [judges.copies, judges.quality],
        }

    def _caveat(self, defense: str) -> str:
        """What a reader must know before comparing, the entry's own words first."""
        entry, judge = self.board.defenses[defense], self.track.evaluation.copies
        space = entry.extractor
        said = [entry.caveat] if entry.caveat else []
        if space:
            said.append(f"acts on what {space} shows it, and its copies are judged by {judge}")
            if space in self.track.evaluation.extractors:
                said.append(f"numbers in the space of {space} are low by construction")
        return "; ".join(said)

    def _lesson(self, network: str) -> Spec:
        """What a network learns, in words."""
        entry = self.board.networks[network]
        taught = [f"{teacher} on {pool}" for pool, teacher in sorted(entry.teachers.items())]
        return {
            "trainer": entry.trainer,
            "data": f"{entry.data}, deduplicated" if entry.dedup else entry.data,
            "init": entry.init or "",
            "teachers": ", ".join(taught),
        }

    @cached_property
    def shown_scores(self) -> list[tuple[str, str, str, int]]:
        """(attack, access, target, seed) of the scores whose ROC curves are drawn, each once."""
        first = self.track.seeds[0]
        return [names for names in self.every_score if names[3] == first]

    def figures(self) -> Spec:
        """`lines` are the ROC curves: attack, sees, defense, and of each target the digest of its
        scores; `scores` the digests of the files, each once.
        """
        judges, seed = self.track.evaluation, self.track.seeds[0]
        return {
            "stage": "figures",
            "extractor": judges.copies,
            "calibration": judges.calibration,
            "gallery": judges.gallery,
            "gallery_kb": judges.gallery_kb,
            "seed": seed,
            "defenses": list(self.board.defenses),
            "curves": self.denoisers,
            "scores": [digest(self.attack(*names)) for names in self.shown_scores],
            "lines": [
                [
                    *cell,
                    {
                        target: digest(self.attack(cell[0], by, target, seed))
                        for by, target in asked
                    },
                ]
                for *cell, asked in drawings.curves(self)
            ],
            "grids": {f"{g['family']} ({g['sees']})": g for g in drawings.grids(self)},
        }

    def page(self) -> Spec:
        judges = self.track.evaluation
        kept = {"paper", "caveat", "reported", "sweep"}  # shown elsewhere, or gone into others
        entries: dict[str, Spec] = {
            "defenses": self.board.defenses,
            "attacks": self.board.attacks,
            "networks": {name: self.network(name) for name in self.every_training},
        }
        return {
            "stage": "page",
            "about": self.track.about,
            "contenders": drawings.contenders(self),
            "gate": judges.gate,
            "config": {
                **{
                    kind: {name: entry.model_dump(exclude=kept) for name, entry in some.items()}
                    for kind, some in entries.items()
                },
                "track": {
                    "seeds": self.track.seeds,
                    "sampling": self.track.sampling.model_dump(),
                    "evaluation": judges.model_dump(exclude={"theory", "bands", "leaks"}),
                    **({"precision": dict(self.precision)} if self.precision else {}),
                },
            },
        }
