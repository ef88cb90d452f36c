"""Pure functions of the configuration: what is measured, and what the leaderboard is made from.

Specs and digests as in `leakboard.specs`. Imports nothing heavy.
"""

from __future__ import annotations

from typing import Any

from leakboard import drawings
from leakboard.digests import digest
from leakboard.names import PLAIN
from leakboard.specs import Spec, Specs

__all__ = ["PLAIN", "Plan", "Spec"]


class Plan(Specs):
    """The specs of a track: methods named like a stage return what that stage's job is told."""

    # Measurements: `about` fills the first columns of the rows, the rest says how to measure.

    def describe(self, extractor: str) -> Spec:
        return {
            "stage": "describe",
            "about": self._about(),
            "pools": digest(self.embed_pools(extractor)),
            "background": digest(self.background(extractor)),
            "how": {
                "extractor": extractor,
                "measure": self.measure_of(extractor),
                "alpha": self.track.evaluation.alpha,
            },
        }

    def copying(self, extractor: str, defense: str, sampler: str, seed: int) -> Spec:
        judges = self.track.evaluation
        return {
            "stage": "copying",
            "about": self._about(defense, seed, sampler=sampler),
            "similarity": digest(self.similarity(extractor, defense, sampler, seed)),
            "undefended": digest(self.similarity(extractor, "none", sampler, seed)),
            "background": digest(self.background(extractor)),
            "features": digest(self.embed(extractor, defense, sampler, seed)),
            "pools": digest(self.embed_pools(extractor)),
            "names": [self.board.name, extractor, seed],
            "copies": {
                "extractor": extractor,
                "thresholds": judges.copy_thresholds.get(extractor, []),
                "calibration": judges.calibration,
                "alpha": judges.alpha,
            },
            "compared": None
            if defense == "none"
            else {"extractor": extractor, "calibration": judges.calibration},
            "duplicated": {"extractor": extractor, "calibration": judges.calibration}
            if self.track.subset.duplicates
            else None,
            "permuted": {
                "extractor": extractor,
                "measure": self.measure_of(extractor),
                "permutations": judges.permutations,
                "subsample": judges.permutation_subsample,
            },
        }

    def screening(self, defense: str, sampler: str, seed: int) -> Spec:
        entry = self.board.defenses[defense]
        return {
            "stage": "screening",
            "about": self._about(defense, seed, sampler=sampler),
            "samples": digest(self.samples(defense, sampler, seed)),
            "extractor": entry.extractor,
        }

    def quality(self, extractor: str, defense: str, sampler: str, seed: int) -> Spec:
        return {
            "stage": "quality",
            "about": self._about(defense, seed, sampler=sampler),
            "extractor": extractor,
            "features": digest(self.embed(extractor, defense, sampler, seed)),
            "pools": digest(self.embed_pools(extractor)),
        }

    def theory(self, defense: str, sampler: str, seed: int) -> Spec:
        """How near pictures are to members, in the theory's sense, and what labels do to it."""
        how = self.track.evaluation.theory
        assert how is not None
        entry = self.board.defenses[defense]
        learned = self.network(entry.denoisers[0]).labels and self.relabel(entry.denoisers[0])
        told = self.knows_classes(defense) and defense != "none"
        return {
            "stage": "theory",
            "about": self._about(defense, seed, sampler=sampler),
            "features": digest(self.embed(how.extractor, defense, sampler, seed)),
            "undefended": digest(self.embed(how.extractor, "none", sampler, seed)),
            "pools": digest(self.embed_pools(how.extractor)),
            "labels": learned and digest(learned),
            "told": told,
            "rms": self.measure_of(how.extractor) == "rms",
            "names": ["theory", self.board.name, seed],
            "how": how.model_dump(),
        }

    def membership(self, attack: str, sees: str, seed: int) -> Spec:
        """All defenses under one attack: `scores` are the digests of the files, each once.

        By name, so that the order of the entries reruns nothing.
        """
        targets, defenses = self.targets(attack, sees), sorted(self.audited(attack, sees))
        return {
            "stage": "membership",
            "scores": [digest(self.attack(attack, by, target, seed)) for by, target in targets],
            "cells": [self.audit(attack, sees, defense, seed) for defense in defenses],
        }

    def audit(self, attack: str, sees: str, defense: str, seed: int) -> Spec:
        """One cell of the above, whose rows carry its own digest, whatever other defenses do."""
        targets = self.scored(sees, defense, self.asks(attack))
        return {
            "stage": "membership",
            "about": self._about(defense, seed, attack=attack, sees=sees),
            "targets": [target for _, target in targets],
            "scores": [digest(self.attack(attack, by, target, seed)) for by, target in targets],
        }

    def extraction(self, attack: str, sees: str, seed: int) -> Spec:
        """All defenses under one family of extraction attacks: a cell for each attack of it, and
        one for the family, which finds the best of them.
        """
        kin = self.kin(attack)
        cells, strengths = [], drawings.strengths(self, attack)
        for defense in sorted(self.attacked(kin[0][0])):
            each = [self._drawn(name, attack, sees, defense, seed) for name, _ in kin]
            cells += each
            if strengths:
                grid = [[s, c["tables"]] for (s, _), c in zip(strengths, each, strict=True)]
                about = self._about(defense, seed, attack=attack, sees=sees)
                cells.append({**each[0], "about": about, "tables": None, "grid": grid})
        sources = self.drawn_from(attack, sees)
        space = self.track.evaluation.copies
        pairs = [(s, w) for s in sources for w in self.samplers(attack)]
        keeps = self.keeps(attack)
        return {
            "stage": "extraction",
            "tables": [digest(self.similarity(space, *pair, seed)) for pair in pairs],
            "samples": [digest(self.samples(s, PLAIN, seed)) for s in sources] if keeps else [],
            "background": digest(self.background(space)),
            "cells": cells,
        }

    def _drawn(self, attack: str, family: str, sees: str, defense: str, seed: int) -> Spec:
        """What one attack drew of one defense; several sources share the pictures equally."""
        judges, entry = self.track.evaluation, self.board.attacks[attack]
        sources, space, sampler = self.sources(sees, defense), judges.copies, self.sampler(attack)
        plain = [digest(self.similarity(space, source, PLAIN, seed)) for source in sources]
        drawn = [digest(self.similarity(space, source, sampler, seed)) for source in sources]
        keeps = self.keeps(attack)
        return {
            "stage": "extraction",
            "about": self._about(defense, seed, attack=attack, sees=sees),
            "method": {"method": entry.method, "params": entry.params} if keeps else None,
            "tables": drawn,
            "samples": [digest(self.samples(s, PLAIN, seed)) for s in sources] if keeps else [],
            "plain": None if sampler == PLAIN else plain,
            "background": digest(self.background(space)),
            "images": self.pictures(attack),
            "names": ["extraction", self.board.name, family, sees, seed],
            "members": self.track.subset.members,
            "extractor": space,
            "bands": judges.bands,
            "calibration": judges.calibration,
            "permutations": judges.permutations,
        }

    def _about(self, defense: str = "", seed: int | None = None, **more: str) -> Spec:
        reported = self.board.defenses[defense].reported if defense else {}
        return {
            "track": self.board.name,
            "defense": defense,
            "seed": seed,
            "sampler": more.get("sampler", ""),
            "attack": more.get("attack", ""),
            "sees": more.get("sees", ""),
            "reported": reported,
        }

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
            "gathered": digest(self.gather()),
            "defenses": {
                name: {
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
            "digests": self.digests(),
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

    def figures(self) -> Spec:
        judges = self.track.evaluation
        return {
            "stage": "figures",
            "extractor": judges.copies,
            "calibration": judges.calibration,
            "defenses": list(self.board.defenses),
            "curves": self.denoisers,
            "scores": [(attack, label) for attack, _, _, label in self.drawn_scores],
            "grids": {f"{g['family']} ({g['sees']})": g for g in drawings.grids(self)},
        }

    def page(self) -> Spec:
        return {
            "stage": "page",
            "about": self.track.about,
            "contenders": drawings.contenders(self),
        }
