"""Pure functions of the configuration: what each artefact is made from.

A *spec* is the resolved config of one artefact, with the digests of the artefacts it is made from;
its *digest* names it. Rules pass specs to jobs as sorted JSON, so an edit reruns exactly what
depends on it; artefacts and measurements carry their digests, so nothing stale is ever ranked.
Imports nothing heavy.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from leakboard.digests import digest
from leakboard.names import PLAIN, Names

Spec = dict[str, Any]
__all__ = ["PLAIN", "Plan", "Spec"]


class Plan(Names):
    """The specs of a track: methods named like a stage return what that stage's job is told."""

    def of(self, stage: str, **names: Any) -> Spec:
        """The spec of a stage by name, as rules ask for it; wildcards arrive as text."""
        names.pop("track", None)
        if "seed" in names:
            names["seed"] = int(names["seed"])
        if "shard" in names:
            names["shard"] = int(names["shard"])
        return getattr(self, stage)(**names)

    def subset(self) -> Spec:
        return {
            "stage": "subset",
            "dataset": self.track.dataset.model_dump(),
            "subset": self.track.subset.model_dump(),
        }

    @cache  # noqa: B019 - a plan lives as long as the run
    def train(self, network: str, seed: int) -> Spec:
        entry = self.board.networks[network]
        kind = self.kind(network)
        own = self.init_of(network)
        return {
            "stage": "train",
            "track": self.board.name,
            "network": network,
            "seed": seed,
            "kind": kind,
            "trainer": {"method": entry.trainer, "params": entry.params},
            "data": entry.data,
            "dedup": digest(self.deduplicate(network)) if entry.dedup else None,
            "training": entry.training,
            "architecture": getattr(self.track.architecture, kind),
            "noise": self.track.noise.model_dump(),
            "init": digest(self.train(own[0], seed)) if own else entry.init,
            "teachers": {
                pool: digest(self.train(name, seed))
                for pool, name in sorted(entry.teachers.items())
            },
            "subset": digest(self.subset()),
        }

    def deduplicate(self, network: str) -> Spec:
        """Which images of a network's pool are left; its feature space has the first seed."""
        entry = self.board.networks[network]
        assert entry.dedup is not None
        return {
            "stage": "deduplicate",
            "network": network,
            "data": entry.data,
            "taught": sorted(entry.teachers) or [entry.data],
            "features": digest(self.embed_pools(entry.dedup.extractor)),
            "measure": self.measure_of(entry.dedup.extractor),
            "similarity": entry.dedup.similarity,
            "subset": digest(self.subset()),
        }

    def guard(self, defense: str, seed: int) -> Spec:
        """A defended predictor: which networks, guarded how."""
        entry = self.board.defenses[defense]
        classifier, extractor = entry.classifier, entry.extractor
        flips = [self.board.networks[name].training["flip"] for name in entry.denoisers]
        return {
            "method": entry.method,
            "params": entry.params,
            "denoisers": [digest(self.train(name, seed)) for name in entry.denoisers],
            "classifier": digest(self.train(classifier, seed)) if classifier else None,
            "extractor": self.extractor(extractor) if extractor else None,
            "mirrored": any(flips),  # a mirrored member is a member too
            "guidance": self.track.sampling.guidance if self.knows_classes(defense) else 1.0,
        }

    @cache  # noqa: B019
    def samples(self, defense: str, sampler: str, seed: int) -> Spec:
        """All pictures of one (defense, sampler, seed), however many jobs draw them."""
        draw = self.track.sampling.model_dump(exclude={"shards", "guidance"})  # it is in the guard
        return {
            "stage": "samples",
            "track": self.board.name,
            "defense": defense,
            "sampler": sampler,
            "seed": seed,
            "guard": self.guard(defense, seed),
            "sampling": draw,
            "noise": self.track.noise.model_dump(),
            "subset": digest(self.subset()),
        }

    def sample(self, defense: str, sampler: str, seed: int, shard: int) -> Spec:
        start, stop = self.shards[shard]
        drawn = self.samples(defense, sampler, seed)
        return {"stage": "sample", "samples": drawn, "start": start, "stop": stop}

    def preview(self, defense: str, sampler: str, seed: int) -> Spec:
        return {"stage": "preview", "samples": digest(self.samples(defense, sampler, seed))}

    def extractor(self, extractor: str) -> Spec:
        """A feature space. Its network, if any, is trained once per track, with the first seed."""
        entry = self.board.extractors[extractor]
        network = entry.network
        return {
            "extractor": extractor,
            "method": entry.method,
            "params": entry.params,
            "network": digest(self.train(network, self.track.seeds[0])) if network else None,
        }

    def embed_pools(self, extractor: str) -> Spec:
        return {
            "stage": "embed_pools",
            "extractor": self.extractor(extractor),
            "mirrored": self.mirrored,
            "subset": digest(self.subset()),
        }

    def embed(self, extractor: str, defense: str, sampler: str, seed: int) -> Spec:
        return {
            "stage": "embed",
            "extractor": self.extractor(extractor),
            "samples": digest(self.samples(defense, sampler, seed)),
        }

    def background(self, extractor: str) -> Spec:
        return {
            "stage": "background",
            "features": digest(self.embed_pools(extractor)),
            "search": self._search(extractor),
        }

    def similarity(self, extractor: str, defense: str, sampler: str, seed: int) -> Spec:
        return {
            "stage": "similarity",
            "features": digest(self.embed(extractor, defense, sampler, seed)),
            "pools": digest(self.embed_pools(extractor)),
            "search": self._search(extractor),
        }

    def _search(self, extractor: str) -> Spec:
        judges = self.track.evaluation
        return {
            "k": judges.neighbors,
            "measure": self.measure_of(extractor),
            "method": judges.index,
        }

    @cache  # noqa: B019
    def attack(self, attack: str, sees: str, target: str, seed: int) -> Spec:
        entry = self.board.attacks[attack]
        weights = sees == "weights"
        return {
            "stage": "attack",
            "track": self.board.name,
            "attack": attack,
            "method": entry.method,
            "params": entry.params,
            "sees": sees,
            "seed": seed,
            "target": digest(self.train(target, seed)) if weights else None,
            "guard": None if weights else self.guard(target, seed),
            "clip_sample": self.track.sampling.clip_sample if sees == "images" else None,
            "noise": self.track.noise.model_dump(),
            "subset": digest(self.subset()),
        }

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

    def membership(self, attack: str, sees: str, defense: str, seed: int) -> Spec:
        targets = self.scored(sees, defense)
        return {
            "stage": "membership",
            "about": self._about(defense, seed, attack=attack, sees=sees),
            "targets": [target for _, target in targets],
            "scores": [digest(self.attack(attack, by, target, seed)) for by, target in targets],
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

    def digests(self) -> dict[str, list[str]]:
        """measurement stage -> the digests that the rows of its cells must carry."""
        return {
            stage: [digest(getattr(self, stage)(**names)) for names in cells]
            for stage, cells in self.cells().items()
        }

    def rank(self) -> Spec:
        entries = self.board.defenses.items()
        judges = self.track.evaluation
        return {
            "stage": "rank",
            "gathered": digest(self.gather()),
            "defenses": {
                name: {"paper": entry.paper, "caveat": self._caveat(name)}
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
        }
