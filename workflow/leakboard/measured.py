"""Pure functions of the configuration: what each measurement is made from.

Specs and digests as in `leakboard.specs`. Imports nothing heavy.
"""

from __future__ import annotations

from leakboard import drawings
from leakboard.digests import digest
from leakboard.names import PLAIN
from leakboard.specs import Spec, Specs


class Measured(Specs):
    """The specs of measurements: `about` fills the first columns of the rows, the rest says how."""

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

    def copying(self, extractor: str, sampler: str, seed: int) -> Spec:
        """All defenses in one feature space: what is told item by item are digests of files.

        By name, so that the order of the entries reruns nothing.
        """
        names = sorted(self.board.defenses)
        cells = [self.copied(extractor, name, sampler, seed) for name in names]
        return {
            "stage": "copying",
            "similarities": [cell["similarity"] for cell in cells],
            "features": [cell["features"] for cell in cells],
            "background": digest(self.background(extractor)),
            "pools": digest(self.embed_pools(extractor)),
            "cells": cells,
        }

    def copied(self, extractor: str, defense: str, sampler: str, seed: int) -> Spec:
        """One cell of the above, whose rows carry its own digest, whatever other defenses do."""
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

    def quality(self, extractor: str, sampler: str, seed: int) -> Spec:
        """All defenses, as in `copying`."""
        names = sorted(self.board.defenses)
        cells = [self.graded(extractor, name, sampler, seed) for name in names]
        return {
            "stage": "quality",
            "features": [cell["features"] for cell in cells],
            "pools": digest(self.embed_pools(extractor)),
            "cells": cells,
        }

    def graded(self, extractor: str, defense: str, sampler: str, seed: int) -> Spec:
        """One cell of the above."""
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
