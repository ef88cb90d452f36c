"""What types cannot say of networks: who may teach, start or label whom, and on which images."""

from __future__ import annotations

from collections.abc import Iterator

from leakboard import assets, catalog, folders, plugins
from leakboard.config import Resolved
from leakboard.entries import Network
from leakboard.kinds import KINDS, conditional, encoder, expect, trains, unknown

HALVES = ("half-a", "half-b")
RANGES = {"cosine": (-1.0, 1.0), "rms": (0.0, 1.0), "l2": (float("-inf"), 0.0)}  # of similarity


def problems(board: Resolved) -> Iterator[str]:
    """What is wrong with the networks of a board, key by key."""
    networks = board.networks
    for name, network in networks.items():
        kind = trains(network)
        if kind not in KINDS:
            yield f"networks.{name}.trainer: its class must say what it `trains`: {KINDS}"
        yield from (f"networks.{name}.teachers{problem}" for problem in _teachers(network, board))
        if network.init in networks:
            wrong = list(expect(networks, str(network.init), kind))
            if not wrong and conditional(networks[str(network.init)]) != conditional(network):
                wrong = [f"of '{network.init}' and '{name}', only one knows classes"]
            for problem in wrong:
                yield f"networks.{name}.init: {problem}"
        elif network.init:
            told = _from_elsewhere(network.init, kind, board)
            yield from (f"networks.{name}.init: {problem}" for problem in told)
        yield from (f"networks.{name}.dedup{problem}" for problem in _dedup(network, board))
        yield from (f"networks.{name}.labels{problem}" for problem in _labels(network, board))
        if network.data == "drawn":
            yield from (f"networks.{name}{problem}" for problem in _drawn(network))
        yield from _cycle(name, board)


def _from_elsewhere(init: str, kind: str, board: Resolved) -> Iterator[str]:
    """What is wrong with the folder that a training starts from; one to be fetched has no fault."""
    if assets.place(init).is_dir():
        if kind == "denoiser":
            yield from folders.problems(init, board.track.architecture.denoiser, board.track.noise)
    elif init not in catalog.known():
        yield (
            f"'{init}' is neither a network nor a diffusers folder, an asset, or a model in the "
            f"Hugging Face cache; {plugins.did_you_mean(init, board.networks)}"
        )


def pools(board: Resolved, name: str, below: tuple[str, ...] = ()) -> set[str]:
    """The pools that a network knows of: its own, and of what it starts from and what teaches it.

    Names that do not exist are left out, and a cycle ends: `check` says so.
    """
    entry = board.networks.get(name)
    if entry is None or name in below:
        return set()
    others = [*filter(None, [entry.init]), *entry.teachers.values()]
    known = (pools(board, other, (*below, name)) for other in others)
    return {entry.data, *entry.teachers}.union(*known)


def _dedup(network: Network, board: Resolved) -> Iterator[str]:
    if network.dedup is None:
        return
    extractor, similarity = network.dedup.extractor, network.dedup.similarity
    if extractor not in board.extractors:
        yield f".extractor: {unknown(extractor, board.extractors, 'extractor')}"
        return
    measure = plugins.constant("extractors", board.extractors[extractor].method, "measure")
    low, high = RANGES[measure]
    if not low <= similarity <= high:
        yield (
            f".similarity: expected a number from {low:g} to {high:g} (identical), which is what "
            f"extractor '{extractor}' measures ({measure}), got {similarity:g}"
        )


def _labels(network: Network, board: Resolved) -> Iterator[str]:
    labels = network.labels
    if labels is None:
        return
    clusters = labels.by == "cluster"
    if clusters != bool(labels.extractor):
        yield f".extractor: {'needed for' if clusters else 'only for'} `by: cluster`"
    elif labels.extractor and labels.extractor not in board.extractors:
        yield f".extractor: {unknown(labels.extractor, board.extractors, 'extractor')}"
    if (labels.by == "image") != (labels.classes is None):
        wanted = "missing: how many?" if labels.by != "image" else "remove it: each image is one"
        yield f".classes: {wanted}"
    members = board.track.subset.members // (2 if network.data in HALVES else 1)
    if clusters and network.data != "reference" and (labels.classes or 0) > members:
        yield f".classes: {labels.classes} of {members} images; set it to at most {members}"


def _drawn(network: Network) -> Iterator[str]:
    """What is wrong with a network that learns from what an attack's target draws."""
    if trains(network) != "student":
        yield f".data: 'drawn' is for students, and '{network.trainer}' trains a {trains(network)}"
    for key in ("init", "dedup", "labels"):
        if getattr(network, key):
            yield f".{key}: not for a network that learns from drawn pictures; remove it"


def _teachers(network: Network, board: Resolved) -> Iterator[str]:
    uses = bool(plugins.constant("trainers", network.trainer, "uses_teachers"))
    if uses != bool(network.teachers):
        wanted = "needs teachers" if uses else "uses no teachers; remove `teachers:`"
        yield f": trainer '{network.trainer}' {wanted}"
        return
    for pool, teacher in network.teachers.items():
        taught_by = plugins.constant("trainers", network.trainer, "taught_by") or trains(network)
        wrong = list(expect(board.networks, teacher, taught_by))
        if not wrong and conditional(board.networks[teacher]):
            wrong = [f"'{teacher}' knows classes, which its student does not"]
        for problem in wrong:
            yield f".{pool}: {problem}"
    given = tuple(sorted(network.teachers))
    wholes = [(network.data,), *([HALVES] if network.data == "members" else [])]
    if uses and given not in wholes:
        yield (
            f": expected a teacher on {' or '.join(' and '.join(whole) for whole in wholes)} (the "
            f"pools that make up `data: {network.data}`), got {' and '.join(given)}"
        )


def _cycle(name: str, board: Resolved) -> Iterator[str]:
    networks = board.networks
    stack, seen = [[name]], set()
    while stack:
        path = stack.pop()
        entry = networks[path[-1]]
        others = [*entry.teachers.values(), *filter(None, [entry.init]), *encoder(board, path[-1])]
        for needed in others:
            if needed == name and name == min(path):  # a cycle is told once
                yield (
                    f"networks.{name}: is needed for its own training: "
                    f"{' -> '.join([*path, needed])}"
                )
                return
            if needed in networks and needed not in seen:
                seen.add(needed)
                stack.append([*path, needed])
