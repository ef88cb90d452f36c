"""Pure functions of the configuration: which artefacts exist, and what each is made from.

A *spec* is the resolved config of one artefact, with the digests of the artefacts it is made from;
its *digest* names it. Rules pass specs to jobs as sorted JSON, so an edit reruns exactly what
depends on it; artefacts and measurements carry their digests, so nothing stale is ever ranked.
Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property
from typing import Any

from leakboard import plugins
from leakboard.config import Resolved
from leakboard.digests import digest
from leakboard.resolve import trains

Spec = dict[str, Any]
PLAIN = "plain"  # the sampler that attacks nothing


class Plan:
    """What one resolved track consists of. Methods named like a stage return that stage's spec."""

    def __init__(self, board: Resolved) -> None:
        self.board = board
        self.track = board.track

    # --- names -------------------------------------------------------------------------------

    def init_of(self, network: str) -> list[str]:
        """The network that a training starts from: one, or none (a folder from elsewhere too)."""
        init = self.board.networks[network].init
        return [init] if init in self.board.networks else []

    def init_folder(self, network: str) -> str | None:
        """The diffusers folder from elsewhere that a training starts from, if it does."""
        return None if self.init_of(network) else self.board.networks[network].init

    def teachers_of(self, network: str) -> list[str]:
        """The networks that teach a training, in the order of its entry."""
        return list(self.board.networks[network].teachers.values())

    def networks_of(self, defense: str) -> list[str]:
        """The networks that a defense draws with: its denoisers, then its classifier."""
        entry = self.board.defenses[defense]
        return [*entry.denoisers, *filter(None, [entry.classifier])]

    def closure(self, networks: Iterable[str]) -> list[str]:
        """The networks and all that their trainings need, in an order in which they can be made."""
        done: list[str] = []
        for name in networks:
            needed = self.closure([*self.init_of(name), *self.teachers_of(name)])
            done += [n for n in [*needed, name] if n not in done]
        return done

    def encoder_of(self, extractor: str) -> list[str]:
        """The network that an extractor uses: one, or none."""
        network = self.board.extractors[extractor].network
        return [network] if network else []

    def queried(self, sees: str, target: str) -> list[str]:
        """The networks behind an attack's target."""
        return [target] if sees == "weights" else self.networks_of(target)

    def plugins(self, stage: str, **names: Any) -> dict[str, str]:
        """group: method of the plug-ins that a job of this stage loads."""
        board = self.board
        used: dict[str, str] = {}
        if stage == "subset":
            used["datasets"] = self.track.dataset.method
        if stage == "train":
            used["trainers"] = board.networks[names["network"]].trainer
        if "extractor" in names and stage.startswith("embed"):
            used["extractors"] = board.extractors[names["extractor"]].method
        if stage == "sample":
            used["defenses"] = board.defenses[names["defense"]].method
        if stage == "attack":
            used["attacks"] = board.attacks[names["attack"]].method
            if names["sees"] == "predictor":
                used["defenses"] = board.defenses[names["target"]].method
        return used

    @cached_property
    def judges(self) -> list[str]:
        """The extractors that the evaluation uses, each once."""
        judges = self.track.evaluation
        return list(dict.fromkeys([*judges.extractors, judges.quality]))

    def measure_of(self, extractor: str) -> str:
        """How distances in an extractor's space become similarities."""
        method = self.board.extractors[extractor].method
        return plugins.constant("extractors", method, "measure")

    @property
    def denoisers(self) -> list[str]:
        """Every denoiser that a defense draws with, and what it was fine-tuned from."""
        every = (name for entry in self.board.defenses.values() for name in entry.denoisers)
        return self.closure(every)

    def targets(self, sees: str) -> list[str]:
        """What an attacker with this access can query: networks, or defended predictors."""
        if sees == "predictor":
            return list(self.board.defenses)
        every = (name for entry in self.board.defenses.values() for name in entry.denoisers)
        return list(dict.fromkeys(every))

    @cached_property
    def attacks(self) -> list[tuple[str, str]]:
        """(attack, sees) pairs."""
        return [(name, sees) for name, entry in self.board.attacks.items() for sees in entry.sees]

    @property
    def shards(self) -> list[tuple[int, int]]:
        """Ranges of picture numbers, cut between batches: any number of shards draws the same."""
        draw = self.track.sampling
        batches = -(-draw.images // draw.batch_size)
        shards = min(draw.shards, batches)
        edges = [batches * k // shards * draw.batch_size for k in range(shards)] + [draw.images]
        return list(zip(edges, edges[1:], strict=False))

    # --- specs -------------------------------------------------------------------------------

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
        kind = trains(entry)
        own = self.init_of(network)
        return {
            "stage": "train",
            "track": self.board.name,
            "network": network,
            "seed": seed,
            "kind": kind,
            "trainer": {"method": entry.trainer, "params": entry.params},
            "data": entry.data,
            "training": entry.training,
            "architecture": getattr(self.track.architecture, kind),
            "noise": self.track.noise.model_dump(),
            "init": digest(self.train(own[0], seed)) if own else entry.init,
            "teachers": {
                data: digest(self.train(name, seed)) for data, name in entry.teachers.items()
            },
            "subset": digest(self.subset()),
        }

    def guard(self, defense: str, seed: int) -> Spec:
        """A defended predictor: which networks, guarded how."""
        entry = self.board.defenses[defense]
        classifier = entry.classifier
        return {
            "method": entry.method,
            "params": entry.params,
            "denoisers": [digest(self.train(name, seed)) for name in entry.denoisers],
            "classifier": digest(self.train(classifier, seed)) if classifier else None,
        }

    @cache  # noqa: B019
    def samples(self, defense: str, sampler: str, seed: int) -> Spec:
        """All pictures of one (defense, sampler, seed), however many jobs draw them."""
        draw = self.track.sampling.model_dump()
        draw.pop("shards")
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
            "neighbors": self.track.evaluation.neighbors,
            "measure": self.measure_of(extractor),
        }

    def similarity(self, extractor: str, defense: str, sampler: str, seed: int) -> Spec:
        return {
            "stage": "similarity",
            "features": digest(self.embed(extractor, defense, sampler, seed)),
            "pools": digest(self.embed_pools(extractor)),
            "neighbors": self.track.evaluation.neighbors,
            "measure": self.measure_of(extractor),
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
            "how": {"extractor": extractor, "measure": self.measure_of(extractor)},
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
            "permuted": {
                "extractor": extractor,
                "measure": self.measure_of(extractor),
                "permutations": judges.permutations,
                "subsample": judges.permutation_subsample,
            },
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
            "scores": [digest(self.attack(attack, sees, target, seed)) for target in targets],
        }

    def scored(self, sees: str, defense: str) -> list[str]:
        """The targets whose scores tell about a defense: its raw networks, or the defense."""
        return self.board.defenses[defense].denoisers if sees == "weights" else [defense]

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

    # --- everything there is to measure ------------------------------------------------------

    def cells(self) -> dict[str, list[dict[str, Any]]]:
        """measurement stage -> the names of each of its cells."""
        judges, seeds = self.track.evaluation, self.track.seeds
        drawn = [
            {"defense": defense, "sampler": PLAIN, "seed": seed}
            for defense in self.board.defenses
            for seed in seeds
        ]
        return {
            "describe": [{"extractor": name} for name in judges.extractors],
            "copying": [{"extractor": name, **d} for name in judges.extractors for d in drawn],
            "quality": [{"extractor": judges.quality, **d} for d in drawn],
            "membership": [
                {"attack": attack, "sees": sees, "defense": defense, "seed": seed}
                for attack, sees in self.attacks
                for defense in self.board.defenses
                for seed in seeds
            ],
        }

    def gather(self) -> Spec:
        return {"stage": "gather", "digests": self.digests()}

    def digests(self) -> list[str]:
        """The digest that the rows of each cell must carry, in the order of `cells`."""
        return [
            digest(getattr(self, stage)(**names))
            for stage, cells in self.cells().items()
            for names in cells
        ]

    def rank(self) -> Spec:
        entries = self.board.defenses.items()
        judges = self.track.evaluation
        return {
            "stage": "rank",
            "gathered": digest(self.gather()),
            "defenses": {name: e.model_dump(include={"paper", "caveat"}) for name, e in entries},
            "headline": {
                "copies": f"copy_rate:{judges.copies}",
                "quality": f"fid:{judges.quality}",
            },
            "trainings": {name: self.closure(self.networks_of(name)) for name, _ in entries},
            "digests": self.digests(),
        }

    def figures(self) -> Spec:
        judges = self.track.evaluation
        return {
            "stage": "figures",
            "extractor": judges.copies,
            "calibration": judges.calibration,
            "defenses": list(self.board.defenses),
            "curves": self.denoisers,
            "scores": [f"{attack} of {target}" for attack, _, target in self.drawn_scores],
        }

    @property
    def drawn_scores(self) -> list[tuple[str, str, str]]:
        """(attack, sees, target) of each curve in the ROC figure: predictors, or else weights."""
        seen = {sees for _, sees in self.attacks}
        shown = "predictor" if "predictor" in seen else "weights"
        return [
            (attack, sees, target)
            for attack, sees in self.attacks
            if sees == shown
            for target in self.targets(sees)
        ]
