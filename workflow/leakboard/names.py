"""Pure functions of the configuration: what a track consists of, by name. Imports nothing heavy."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from leakboard import plugins
from leakboard.checks import conditional, encoder, trains
from leakboard.config import Resolved

PLAIN = "plain"  # the sampler that attacks nothing
SPLIT = "split"  # the target of who sees no model: is it fair?


class Names:
    """What one resolved track consists of, by name."""

    def __init__(self, board: Resolved) -> None:
        self.board = board
        self.track = board.track

    def init_of(self, network: str) -> list[str]:
        """The network that a training starts from: one, or none (a folder from elsewhere too)."""
        init = self.board.networks[network].init
        return [init] if init in self.board.networks else []

    def init_folder(self, network: str) -> str | None:
        """The diffusers folder from elsewhere that a training starts from, if it does."""
        return None if self.init_of(network) else self.board.networks[network].init

    def teachers_of(self, network: str) -> list[str]:
        """The networks that teach a training, in the order of the pools' names."""
        return [name for _, name in sorted(self.board.networks[network].teachers.items())]

    def needed_by(self, network: str) -> list[str]:
        """Every network that a training waits for: its start, its teachers, its deduplicator's."""
        return [*self.init_of(network), *self.teachers_of(network), *encoder(self.board, network)]

    def networks_of(self, defense: str) -> list[str]:
        """The networks that a defense draws with: its denoisers, then its classifier."""
        entry = self.board.defenses[defense]
        return [*entry.denoisers, *filter(None, [entry.classifier])]

    def closure(self, networks: Iterable[str]) -> list[str]:
        """The networks and all that their trainings need, in an order in which they can be made."""
        done: list[str] = []
        for name in networks:
            needed = self.closure(self.needed_by(name))
            done += [n for n in [*needed, name] if n not in done]
        return done

    def urgency(self, network: str) -> int:
        """How early a training should start: first what others wait for, most of all in company.

        Teachers of one student thus run side by side, before a teacher that teaches alone.
        """
        needs = {name: self.needed_by(name) for name in self.board.networks}
        after = [name for name, needed in needs.items() if network in needed]
        waiting = max((self.urgency(name) + len(needs[name]) for name in after), default=0)
        return waiting + 1 + (self.kind(network) == "denoiser")

    def encoder_of(self, extractor: str) -> list[str]:
        """The network that an extractor uses: one, or none."""
        network = self.board.extractors[extractor].network
        return [network] if network else []

    def screens(self, defense: str) -> bool:
        """Whether a defense holds finished pictures back."""
        return bool(plugins.constant("defenses", self.board.defenses[defense].method, "screens"))

    def eyes_of(self, defense: str) -> list[str]:
        """The encoder with which a defense looks for members: one, or none."""
        extractor = self.board.defenses[defense].extractor
        return self.encoder_of(extractor) if extractor else []

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
        if stage == "attack":
            used["attacks"] = board.attacks[names["attack"]].method
        if stage == "sample" or (stage == "attack" and names["sees"] in ("predictor", "images")):
            guard = board.defenses[names.get("defense") or names["target"]]
            used["defenses"] = guard.method
            if guard.extractor:
                used["extractors"] = board.extractors[guard.extractor].method
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
        return [name for name in self.closure(every) if self.kind(name) == "denoiser"]

    def kind(self, network: str) -> str:
        """What a network is: "denoiser", "classifier" or "encoder"."""
        return trains(self.board.networks[network])

    def seeds_of(self, network: str) -> list[int]:
        """The seeds that a network is trained with: an encoder, a judge, with the first alone."""
        seeds = self.track.seeds
        return seeds[:1] if self.kind(network) == "encoder" else seeds

    @property
    def mirrored(self) -> bool:
        """Whether some denoiser learns mirrored images too, whose copies are then copies."""
        return any(self.board.networks[name].training.get("flip") for name in self.denoisers)

    @property
    def every_training(self) -> list[str]:
        """The networks that some defense rests on."""
        every = ([*self.networks_of(name), *self.eyes_of(name)] for name in self.board.defenses)
        return self.closure(itertools.chain(*every))

    def knows_classes(self, defense: str) -> bool:
        """Whether a defense draws pictures of given classes."""
        denoisers = self.board.defenses[defense].denoisers
        return any(conditional(self.board.networks[name]) for name in denoisers)

    def targets(self, sees: str, asks: str = "denoisers") -> list[tuple[str, str]]:
        """Whom an attacker with this access asks about all defenses: (access, target), sorted."""
        every = (self.scored(sees, defense, asks) for defense in self.board.defenses)
        return sorted({target for some in every for target in some})

    def asks(self, attack: str) -> str:
        """Which networks an attack asks: the "denoisers", or the "classifier" beside them."""
        method = self.board.attacks[attack].method
        return plugins.constant("attacks", method, "asks") or "denoisers"

    def audited(self, attack: str, sees: str) -> list[str]:
        """The defenses that an attack tells about; one without a name where it sees none."""
        if sees == "nothing":
            return [""]
        asks = self.asks(attack)
        return [name for name in self.board.defenses if self.scored(sees, name, asks)]

    @cached_property
    def attacks(self) -> list[tuple[str, str]]:
        """(attack, sees) pairs that tell about something."""
        pairs = ((name, sees) for name, entry in self.board.attacks.items() for sees in entry.sees)
        return [pair for pair in pairs if self.audited(*pair)]

    @property
    def shards(self) -> list[tuple[int, int]]:
        """Ranges of picture numbers, cut between batches: any number of shards draws the same."""
        draw = self.track.sampling
        batches = -(-draw.images // draw.batch_size)
        shards = min(draw.shards, batches)
        edges = [batches * k // shards * draw.batch_size for k in range(shards)] + [draw.images]
        return list(itertools.pairwise(edges))

    def scored(self, sees: str, defense: str, asks: str = "denoisers") -> list[tuple[str, str]]:
        """(access, target) of the scores that tell about a defense: its raw networks, or itself.

        Where nothing stands between a network and who asks it, its predictor is the network. Who
        asks the classifier learns nothing of a defense without one.
        """
        if sees == "nothing":
            return [(sees, SPLIT)]
        entry = self.board.defenses[defense]
        if asks == "classifier":
            return [("weights", entry.classifier)] if entry.classifier else []
        guided = self.knows_classes(defense) and self.track.sampling.guidance != 1
        bare = plugins.constant("defenses", entry.method, "predicts_as_is") and not guided
        if sees == "weights" or (sees == "predictor" and bare):
            return [("weights", name) for name in entry.denoisers]
        return [(sees, defense)]

    @property
    def drawn_scores(self) -> list[tuple[str, str, str, str]]:
        """(attack, access, target, label) of each curve in the ROC figure.

        Attacks on defenses as they answer; where there are none, attacks on the networks.
        """
        seeing = [pair for pair in self.attacks if pair[1] != "nothing"]
        attacks = [pair for pair in seeing if pair[1] != "weights"] or seeing
        curves = [
            (attack, by, target, target if sees == "weights" else defense)
            for attack, sees in attacks
            for defense in self.board.defenses
            for by, target in self.scored(sees, defense, self.asks(attack))
        ]
        return list(dict.fromkeys(curves))

    def cells(self) -> dict[str, list[dict[str, Any]]]:
        """measurement stage -> the names of each of its files: of one cell, or of several.

        One job audits all defenses under an attack: they are quick, and many look at equal scores.
        """
        judges, seeds = self.track.evaluation, self.track.seeds
        defenses = list(self.board.defenses)
        screens = [name for name in defenses if self.screens(name)]

        def drawn(some: Iterable[str]) -> list[dict[str, Any]]:
            pairs = itertools.product(some, seeds)
            return [{"defense": name, "sampler": PLAIN, "seed": seed} for name, seed in pairs]

        return {
            "describe": [{"extractor": name} for name in judges.extractors],
            "screening": drawn(screens),
            "copying": [
                {"extractor": name, **d} for name in judges.extractors for d in drawn(defenses)
            ],
            "quality": [{"extractor": judges.quality, **d} for d in drawn(defenses)],
            "membership": [
                {"attack": attack, "sees": sees, "seed": seed}
                for attack, sees in self.attacks
                for seed in (seeds[:1] if sees == "nothing" else seeds)
            ],
        }
