"""Pure functions of the configuration: what a track consists of, by name. Imports nothing heavy."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cached_property

from leakboard import plugins, ranges
from leakboard.config import Resolved
from leakboard.entries import Network
from leakboard.kinds import conditional, encoder, trains

PLAIN = "plain"  # the sampler that attacks nothing
SPLIT = "split"  # the target of who sees no model: is it fair?
BARE = "@"  # in place of a defense, `@base` is the network `base` with nothing before it


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
        return list(dict.fromkeys(each for name in networks for each in self.chain(name)))

    def chain(self, network: str) -> list[str]:
        """All that a training needs, in an order in which it can be made, then itself."""
        return [*self.closure(self.needed_by(network)), network]

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

    def role(self, defense: str) -> str:
        """What an entry is on the board for: a contestant, `none`, a control, or a baseline."""
        return "undefended" if defense == "none" else self.board.defenses[defense].role

    def screens(self, defense: str) -> bool:
        """Whether a defense holds finished pictures back."""
        return bool(plugins.constant("defenses", self.board.defenses[defense].method, "screens"))

    def eyes_of(self, defense: str) -> list[str]:
        """The encoder with which a defense looks for members: one, or none."""
        if defense.startswith(BARE):
            return []
        extractor = self.board.defenses[defense].extractor
        return self.encoder_of(extractor) if extractor else []

    @cached_property
    def judges(self) -> list[str]:
        """The extractors that the evaluation uses, each once."""
        judges = self.track.evaluation
        return list(dict.fromkeys([*judges.extractors, judges.quality]))

    def measure_of(self, extractor: str) -> str:
        """How distances in an extractor's space become similarities."""
        method = self.board.extractors[extractor].method
        return plugins.constant("extractors", method, "measure")

    @cached_property
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

    @cached_property
    def every_picture(self) -> list[tuple[str, int]]:
        """(defense, seed) of every set of plain pictures."""
        return list(itertools.product(self.board.defenses, self.track.seeds))

    @cached_property
    def mirrored(self) -> bool:
        """Whether some denoiser learns mirrored images too, whose copies are then copies."""
        return any(self.board.networks[name].training.get("flip") for name in self.denoisers)

    @cached_property
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

    def pictures(self, sampler: str = PLAIN) -> int:
        """How many pictures a sampler draws."""
        draw = self.track.sampling
        return draw.images if sampler == PLAIN else draw.extraction_images or draw.images

    def shards(self, sampler: str = PLAIN) -> dict[str, ranges.Range]:
        """The ranges of picture numbers that jobs draw, by name."""
        return self._cut(self.pictures(sampler), self.track.sampling.batch_size)

    @cached_property
    def audited_shards(self) -> dict[str, ranges.Range]:
        """The ranges of audited images that the jobs of an attack ask about, by name."""
        subset = self.track.subset
        return self._cut(subset.members + subset.held_out, ranges.AUDITED)

    def _cut(self, images: int, batch: int) -> dict[str, ranges.Range]:
        return {ranges.name(*r): r for r in ranges.cut(images, batch, self.track.shards)}
