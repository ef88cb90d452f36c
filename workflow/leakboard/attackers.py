"""Who attacks whom: attacks, what they ask, and whom extraction attacks draw from, by name.

Pure functions of the configuration. Imports nothing heavy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from leakboard import plugins
from leakboard.entries import Attack
from leakboard.names import BARE, PLAIN, SPLIT, Names


def extracts(attack: Attack) -> bool:
    """Whether an attack draws pictures, and scores no images."""
    return bool(plugins.constant("attacks", attack.method, "extracts"))


class Attackers(Names):
    """What attacks one resolved track, by name."""

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
        asks = stage in ("attack", "attack_shard")
        if asks:
            used["attacks"] = board.attacks[names["attack"]].method
        if stage == "extraction" and self.keeps(names["attack"]):
            used["attacks"] = self.kin(names["attack"])[0][1].method
        if names.get("sampler", PLAIN) != PLAIN and stage == "sample":
            used["attacks"] = board.attacks[names["sampler"]].method
        if stage == "sample" or (asks and names["sees"] in ("predictor", "images")):
            guard = board.defenses.get(names.get("defense") or names["target"])
            used["defenses"] = guard.method if guard else "none"
            if guard and guard.extractor:
                used["extractors"] = board.extractors[guard.extractor].method
        return used

    def targets(self, attack: str, sees: str) -> list[tuple[str, str]]:
        """Whom an attacker with this access asks about all defenses: (access, target), sorted."""
        asks = self.asks(attack)
        every = (self.scored(sees, defense, asks) for defense in self.attacked(attack))
        return sorted({target for some in every for target in some})

    @cached_property
    def every_score(self) -> list[tuple[str, str, str, int]]:
        """(attack, access, target, seed) of all scores that tell about a defense, each once."""
        return [
            (attack, by, target, seed)
            for attack in dict.fromkeys(n for n, sees in self.attacks if sees != "nothing")
            for by, target in self.asked(attack)
            for seed in self.track.seeds
        ]

    def asked(self, attack: str) -> list[tuple[str, str]]:
        """Whom an attacker asks with any access: (access, target), sorted, each once."""
        mine = [sees for name, sees in self.attacks if name == attack]
        return sorted({pair for sees in mine for pair in self.targets(attack, sees)})

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

    def attacked(self, attack: str) -> list[str]:
        """The defenses that an attack is tried on: those that it names, or all but controls.

        Every membership attack is tried on who never saw a member, where it must find nothing, one
        that sees weights also on less training, and who draws plainly on the copy machine, where
        all must be copies.
        """
        entry = self.board.attacks[attack]
        early = "weights" in entry.sees and not entry.against
        roles = ["never-saw-members", *(["early-stop"] if early else [])]
        if extracts(entry):
            plain = self.sampler(attack) == PLAIN and not self.keeps(attack)
            roles = ["copy-machine"] if plain else []
        if not entry.against:
            roles += ["contestant", "undefended"]
        named = entry.against
        return [name for name in self.board.defenses if name in named or self.role(name) in roles]

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

    def cells(self) -> dict[str, list[dict[str, Any]]]:
        """measurement stage -> the names of each of its files: of one cell, or of several.

        One job measures all defenses where that is quick: a job's start takes longer.
        """
        judges, seeds = self.track.evaluation, self.track.seeds
        defenses = list(self.board.defenses)
        screens = [name for name in defenses if self.screens(name)]

        def drawn(some: Iterable[str]) -> list[dict[str, Any]]:
            pairs = itertools.product(some, seeds)
            return [{"defense": name, "sampler": PLAIN, "seed": seed} for name, seed in pairs]

        together = [{"sampler": PLAIN, "seed": seed} for seed in seeds]
        return {
            "describe": [{"extractor": name} for name in judges.extractors],
            "screening": drawn(screens),
            "copying": [{"extractor": name, **d} for name in judges.extractors for d in together],
            "quality": [{"extractor": judges.quality, **d} for d in together],
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
