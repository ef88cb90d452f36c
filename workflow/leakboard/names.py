"""Pure functions of the configuration: what a track consists of, by name. Imports nothing heavy."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from leakboard import plugins
from leakboard.checks import conditional, encoder, trains
from leakboard.config import Attack, Network, Resolved

PLAIN = "plain"  # the sampler that attacks nothing
SPLIT = "split"  # the target of who sees no model: is it fair?
BARE = "@"  # in place of a defense, `@base` is the network `base` with nothing before it


def extracts(attack: Attack) -> bool:
    """Whether an attack draws pictures, and scores no images."""
    return bool(plugins.constant("attacks", attack.method, "extracts"))


class Names:
    """What one resolved track consists of, by name."""

    def __init__(self, board: Resolved) -> None:
        self.board = board
        self.track = board.track

    def network(self, name: str) -> Network:
        """The entry of a network; `surrogate@none` is `surrogate`, trained on what `none` draws."""
        return self.board.networks[name.partition("@")[0]]

    def init_of(self, network: str) -> list[str]:
        """The network that a training starts from: one, or none (a folder from elsewhere too)."""
        init = self.network(network).init
        return [init] if init in self.board.networks else []

    def init_folder(self, network: str) -> str | None:
        """The diffusers folder from elsewhere that a training starts from, if it does."""
        return None if self.init_of(network) else self.network(network).init

    def teachers_of(self, network: str) -> list[str]:
        """The networks that teach a training, in the order of the pools' names."""
        return [name for _, name in sorted(self.network(network).teachers.items())]

    def needed_by(self, network: str) -> list[str]:
        """Every network that a training waits for: its start, its teachers, its deduplicator's."""
        return [*self.init_of(network), *self.teachers_of(network), *encoder(self.board, network)]

    def networks_of(self, defense: str) -> list[str]:
        """The networks that a defense draws with: its denoisers, then its classifier."""
        if defense.startswith(BARE):
            return [defense.removeprefix(BARE)]
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
        if defense.startswith(BARE):
            return []
        extractor = self.board.defenses[defense].extractor
        return self.encoder_of(extractor) if extractor else []

    def plugins(self, stage: str, **names: Any) -> dict[str, str]:
        """group: method of the plug-ins that a job of this stage loads."""
        board = self.board
        used: dict[str, str] = {}
        if stage == "subset":
            used["datasets"] = self.track.dataset.method
        if stage == "train":
            used["trainers"] = self.network(names["network"]).trainer
        if "extractor" in names and stage.startswith("embed"):
            used["extractors"] = board.extractors[names["extractor"]].method
        if stage == "attack":
            used["attacks"] = board.attacks[names["attack"]].method
        if stage == "extraction" and self.keeps(names["attack"]):
            used["attacks"] = self.kin(names["attack"])[0][1].method
        if names.get("sampler", PLAIN) != PLAIN and stage == "sample":
            used["attacks"] = board.attacks[names["sampler"]].method
        if stage == "sample" or (stage == "attack" and names["sees"] in ("predictor", "images")):
            guard = board.defenses.get(names.get("defense") or names["target"])
            used["defenses"] = guard.method if guard else "none"
            if guard and guard.extractor:
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
        return trains(self.network(network))

    def seeds_of(self, network: str) -> list[int]:
        """The seeds that a network is trained with: an encoder, a judge, with the first alone."""
        seeds = self.track.seeds
        return seeds[:1] if self.kind(network) == "encoder" else seeds

    def seed_of(self, network: str, seed: int) -> int:
        """The seed of the training that a job of this seed uses."""
        return seed if seed in self.seeds_of(network) else self.seeds_of(network)[0]

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
        if defense.startswith(BARE):
            return conditional(self.network(defense.removeprefix(BARE)))
        denoisers = self.board.defenses[defense].denoisers
        return any(conditional(self.board.networks[name]) for name in denoisers)

    def targets(self, attack: str, sees: str) -> list[tuple[str, str]]:
        """Whom an attacker with this access asks about all defenses: (access, target), sorted."""
        asks = self.asks(attack)
        every = (self.scored(sees, defense, asks) for defense in self.attacked(attack))
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
        return [name for name in self.attacked(attack) if self.scored(sees, name, asks)]

    @cached_property
    def attacks(self) -> list[tuple[str, str]]:
        """(attack, sees) pairs of membership attacks that tell about something."""
        entries = self.board.attacks.items()
        pairs = ((n, sees) for n, e in entries if not extracts(e) for sees in e.sees)
        return [pair for pair in pairs if self.audited(*pair)]

    @cached_property
    def extractions(self) -> list[tuple[str, str]]:
        """(family, sees) pairs of extraction attacks, each once."""
        entries = self.board.attacks.items()
        every = [(e.family or n, sees) for n, e in entries if extracts(e) for sees in e.sees]
        return list(dict.fromkeys(every))

    def kin(self, family: str) -> list[tuple[str, Attack]]:
        """The extraction attacks of a family, by name; an attack alone is its own family."""
        entries = self.board.attacks.items()
        return [(n, e) for n, e in entries if extracts(e) and (e.family or n) == family]

    def sampler(self, attack: str) -> str:
        """Which pictures an extraction attack gets: its own, or those that anybody gets."""
        method = self.board.attacks[attack].method
        return attack if plugins.constant("attacks", method, "guides") else PLAIN

    def guide_of(self, attack: str, source: str) -> list[str]:
        """The network that steers an attack's drawing from a source: one, or none.

        One that learns from drawn pictures is trained for each source: `surrogate@none`.
        """
        classifier = self.board.attacks[attack].classifier
        if classifier is None:
            return []
        drawn = self.network(classifier).data == "drawn"
        return [f"{classifier}@{source}" if drawn else classifier]

    def drawn_by(self, network: str) -> list[str]:
        """The source whose plain pictures a network learns from: one, or none."""
        return list(filter(None, [network.partition("@")[2]]))

    def sources(self, sees: str, defense: str) -> list[str]:
        """Whom an extraction attacker with this access draws from.

        Defenses, and `@network` for a raw network that no defense draws from as it is.
        """
        return [
            target if by != "weights" else self.bare(target)
            for by, target in self.scored(sees, defense)
        ]

    def drawn_from(self, family: str, sees: str) -> list[str]:
        """Whom a family draws from, over all defenses, sorted."""
        attacked = self.attacked(self.kin(family)[0][0])
        return sorted({s for defense in attacked for s in self.sources(sees, defense)})

    def samplers(self, family: str) -> list[str]:
        """The samplers of a family's pictures: the plain one, and its own where it steers."""
        return list(dict.fromkeys([PLAIN, *(self.sampler(name) for name, _ in self.kin(family))]))

    def keeps(self, attack: str) -> bool:
        """Whether an attack (or the attacks of a family) picks some of what it draws."""
        names = [name for name, _ in self.kin(attack)] or [attack]
        method = self.board.attacks[names[0]].method
        return bool(plugins.constant("attacks", method, "keeps"))

    def bare(self, network: str) -> str:
        """Who draws from one network as it is: a defense that stands before nothing, or itself."""
        for name, entry in self.board.defenses.items():
            as_is = plugins.constant("defenses", entry.method, "predicts_as_is")
            guided = self.knows_classes(name) and self.track.sampling.guidance != 1
            if entry.denoisers == [network] and as_is and not self.screens(name) and not guided:
                return name
        return f"{BARE}{network}"

    def pictures(self, sampler: str = PLAIN) -> int:
        """How many pictures a sampler draws."""
        draw = self.track.sampling
        return draw.images if sampler == PLAIN else draw.extraction_images or draw.images

    def shards(self, sampler: str = PLAIN) -> list[tuple[int, int]]:
        """Ranges of picture numbers, cut between batches: any number of shards draws the same."""
        draw, images = self.track.sampling, self.pictures(sampler)
        batches = -(-images // draw.batch_size)
        shards = min(draw.shards, batches)
        edges = [batches * k // shards * draw.batch_size for k in range(shards)] + [images]
        return list(itertools.pairwise(edges))

    def attacked(self, attack: str) -> list[str]:
        """The defenses that an attack is tried on."""
        wanted = self.board.attacks[attack].against
        return [name for name in self.board.defenses if name in (wanted or self.board.defenses)]

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
            for defense in self.attacked(attack)
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
            "theory": drawn(defenses) if judges.theory else [],
            "membership": [
                {"attack": attack, "sees": sees, "seed": seed}
                for attack, sees in self.attacks
                for seed in (seeds[:1] if sees == "nothing" else seeds)
            ],
            "extraction": [
                {"attack": family, "sees": sees, "seed": seed}
                for family, sees in self.extractions
                for seed in seeds
            ],
        }
