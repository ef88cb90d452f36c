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
from leakboard.names import Names

Spec = dict[str, Any]


class Specs(Names):
    """The specs of what a track makes: methods named like a stage return what its job is told."""

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
        weights, guarded = sees == "weights", sees in ("predictor", "images")
        return {
            "stage": "attack",
            "track": self.board.name,
            "attack": attack,
            "method": entry.method,
            "params": entry.params,
            "sees": sees,
            "asks": self.asks(attack),
            "seed": seed,
            "target": digest(self.train(target, seed)) if weights else None,
            "guard": self.guard(target, seed) if guarded else None,
            "clip_sample": self.track.sampling.clip_sample if sees == "images" else None,
            "noise": self.track.noise.model_dump(),
            "subset": digest(self.subset()),
        }
