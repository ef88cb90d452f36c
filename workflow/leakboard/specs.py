"""Pure functions of the configuration: what each artefact is made from.

A *spec* is the resolved config of one artefact, with the digests of the artefacts it is made from;
its *digest* names it. Rules pass specs to jobs as sorted JSON, so an edit reruns exactly what
depends on it; artefacts and measurements carry their digests, so nothing stale is ever ranked.
Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from leakboard import assets, plugins
from leakboard.attackers import Attackers
from leakboard.digests import digest
from leakboard.names import BARE, PLAIN

Spec = dict[str, Any]


class Specs(Attackers):
    """The specs of what a track makes: methods named like a stage return what its job is told."""

    def of(self, stage: str, **names: Any) -> Spec:
        """The spec of a stage by name, as rules ask for it; wildcards arrive as text."""
        names.pop("track", None)
        if "seed" in names:
            names["seed"] = int(names["seed"])
        return getattr(self, stage)(**names)

    precision: Mapping[str, str] = {}  # of a stage's networks, where it is not fp32

    def _computed(self, stage: str) -> Spec:
        """What a spec says of precision: nothing of fp32."""
        return {"precision": self.precision[stage]} if stage in self.precision else {}

    def subset(self) -> Spec:
        return {
            "stage": "subset",
            "dataset": _said(self.track.dataset.model_dump(), "crop", "size", "filter", "limit"),
            "subset": _said(self.track.subset.model_dump(), "split", "files"),
        }

    @cache  # noqa: B019 - a plan lives as long as the run
    def train(self, network: str, seed: int) -> Spec:
        entry = self.network(network)
        kind = self.kind(network)
        own = self.init_of(network)
        drawn = self.drawn_by(network)
        return {
            "stage": "train",
            "track": self.board.name,
            "network": network,
            "seed": seed,
            "kind": kind,
            "trainer": {"method": entry.trainer, "params": entry.params},
            "data": entry.data,
            "drawn": digest(self.samples(drawn[0], PLAIN, seed)) if drawn else None,
            "dedup": digest(self.deduplicate(network)) if entry.dedup else None,
            "labels": digest(self.relabel(network)) if entry.labels else None,
            "training": entry.training,
            # a student is built like its teacher
            "architecture": getattr(self.track.architecture, kind, None),
            "noise": self.track.noise.model_dump(),
            "init": digest(self.train(own[0], seed)) if own else entry.init,
            "teachers": {
                pool: digest(self.train(name, self.seed_of(name, seed)))
                for pool, name in sorted(entry.teachers.items())
            },
            "subset": digest(self.subset()),
            **self._computed("train"),
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

    def relabel(self, network: str) -> Spec:
        """Which labels a network's images bear; the space of clusters has the first seed."""
        entry = self.network(network)
        assert entry.labels is not None
        extractor = entry.labels.extractor
        return {
            "stage": "relabel",
            "network": network,
            "data": entry.data,
            "by": entry.labels.by,
            "classes": entry.labels.classes,
            "features": digest(self.embed_pools(extractor)) if extractor else None,
            "subset": digest(self.subset()),
        }

    def guard(self, defense: str, seed: int) -> Spec:
        """A defended predictor: which networks, guarded how."""
        if defense.startswith(BARE):
            return self._bare(defense.removeprefix(BARE), seed)
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
            "relabeled": any(self.network(name).labels for name in entry.denoisers),
        }

    def _bare(self, network: str, seed: int) -> Spec:
        """A network with nothing before it, asked without classifier-free guidance."""
        return {
            "method": "none",
            "params": {},
            "denoisers": [digest(self.train(network, seed))],
            "classifier": None,
            "extractor": None,
            "mirrored": self.network(network).training["flip"],
            "guidance": 1.0,
            "relabeled": bool(self.network(network).labels),
        }

    def extracted(self, attack: str, source: str, seed: int) -> Spec:
        """How an extraction attack steers the drawing from a source."""
        entry, guide = self.board.attacks[attack], self.guide_of(attack, source)
        network = digest(self.train(guide[0], self.seed_of(guide[0], seed))) if guide else None
        return {"method": entry.method, "params": entry.params, "classifier": network}

    @cache  # noqa: B019
    def samples(self, defense: str, sampler: str, seed: int) -> Spec:
        """All pictures of one (defense, sampler, seed), however many jobs draw them."""
        # The guidance is in the guard.
        draw = self.track.sampling.model_dump(exclude={"guidance", "extraction_images"})
        draw["images"] = self.pictures(sampler)
        attacked = sampler != PLAIN
        return {
            "stage": "samples",
            "track": self.board.name,
            "defense": defense,
            "sampler": sampler,
            "seed": seed,
            "guard": self.guard(defense, seed),
            "extraction": self.extracted(sampler, defense, seed) if attacked else None,
            "sampling": draw,
            "noise": self.track.noise.model_dump(),
            "subset": digest(self.subset()),
            **self._computed("samples"),
        }

    def sample(self, defense: str, sampler: str, seed: int, shard: str) -> Spec:
        start, stop = self.shards(sampler)[shard]
        drawn = self.samples(defense, sampler, seed)
        return {"stage": "sample", "samples": drawn, "start": start, "stop": stop}

    def preview(self, defense: str, sampler: str, seed: int) -> Spec:
        return {"stage": "preview", "samples": digest(self.samples(defense, sampler, seed))}

    def extractor(self, extractor: str) -> Spec:
        """A feature space. Its network, if any, is trained once per track, with the first seed, or
        has weights from elsewhere: then `weights` is their SHA-256.
        """
        entry = self.board.extractors[extractor]
        network = entry.network
        read = plugins.constant("extractors", entry.method, "reads") or ()
        return {
            "extractor": extractor,
            "method": entry.method,
            "params": entry.params,
            "network": digest(self.train(network, self.track.seeds[0])) if network else None,
            **{param: assets.fingerprint(entry.params[param]) for param in read},
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
            "batch": self.track.sampling.batch_size,
        }

    def embed_shard(
        self, extractor: str, defense: str, sampler: str, seed: int, shard: str
    ) -> Spec:
        start, stop = self.shards(sampler)[shard]
        whole = self.embed(extractor, defense, sampler, seed)
        return {"stage": "embed_shard", "embed": whole, "start": start, "stop": stop}

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
        denoises = (weights or guarded) and self.asks(attack) == "denoisers"
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
            "relabeled": weights and bool(self.network(target).labels),
            "clip_sample": self.track.sampling.clip_sample if sees == "images" else None,
            "noise": self.track.noise.model_dump(),
            "subset": digest(self.subset()),
            **(self._computed("attack") if denoises else {}),
        }

    def attack_shard(self, attack: str, sees: str, target: str, seed: int, shard: str) -> Spec:
        start, stop = self.audited_shards[shard]
        whole = self.attack(attack, sees, target, seed)
        return {"stage": "attack_shard", "attack": whole, "start": start, "stop": stop}


def _said(section: Spec, *later: str) -> Spec:
    """A section without keys that came later, where they say nothing: its digest stays."""
    silent = {key for key in later if section[key] is None}
    silent |= {"filter"} if section.get("size", "") is None else set()
    return {key: value for key, value in section.items() if key not in silent}
