"""What types cannot say of a configuration: names that exist, kinds that fit, sizes that are there.

`check` yields one line per problem: file, key, what was expected. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from leakboard import plugins
from leakboard.config import Attack, Defense, Network, Resolved

KINDS = ("denoiser", "classifier", "encoder", "student")
STEERS = ("encoder", "student")  # kinds of networks that know several classes
HALVES = ("half-a", "half-b")
BANDS = ("low", "mid", "high", "copy")  # that AMS and UMS are always told of
RANGES = {"cosine": (-1.0, 1.0), "rms": (0.0, 1.0), "l2": (float("-inf"), 0.0)}  # of similarity
TO_HALVE = 4  # members: an image to tune on and one to test on in each half


def trains(network: Network) -> str:
    """What a network is: "denoiser", "classifier" (of noised images) or "encoder"."""
    return str(plugins.constant("trainers", network.trainer, "trains"))


def conditional(network: Network) -> bool:
    """Whether a network is a denoiser that knows classes."""
    return bool(plugins.constant("trainers", network.trainer, "conditional"))


def accesses(attack: str) -> tuple[str, ...]:
    """What a method of attack can query: the raw networks, the defended predictor, a service.

    Or nothing at all: who sees no model tells about the split.
    """
    return tuple(plugins.constant("attacks", attack, "sees") or ("weights", "predictor"))


def encoder(board: Resolved, network: str) -> list[str]:
    """The networks in whose feature spaces a network's pool is deduplicated, or labeled.

    Names that do not exist are left out: `check` says so.
    """
    entry = board.networks[network.partition("@")[0]]
    named = [each.extractor for each in (entry.dedup, entry.labels) if each]
    spaces = (board.extractors.get(name) for name in named if name)
    return [space.network for space in spaces if space and space.network]


def check(board: Resolved, both: str, here: str) -> Iterator[str]:
    """The problems of a track; `both` names the files of its entries, `here` that of the track."""
    yield from (f"{both}: {problem}" for problem in _networks(board))
    yield from (f"{both}: {problem}" for problem in _extractors(board))
    yield from (f"{both}: {problem}" for problem in _defenses(board))
    yield from (f"{both}: {problem}" for problem in _attacks(board))
    yield from (f"{here}: {problem}" for problem in _judges(board))
    yield from (f"{here}: {problem}" for problem in _sizes(board))


def _unknown(name: str, known: Iterable[str], what: str) -> str:
    return f"no {what} '{name}'; {plugins.did_you_mean(name, known)}"


def _expect(networks: Mapping[str, Network], name: str, kind: str) -> Iterator[str]:
    if name not in networks:
        yield _unknown(name, networks, "network")
    elif (found := trains(networks[name])) != kind:
        yield f"'{name}' is a {found}, expected a {kind}"


def _networks(board: Resolved) -> Iterator[str]:
    networks = board.networks
    for name, network in networks.items():
        kind = trains(network)
        if kind not in KINDS:
            yield f"networks.{name}.trainer: its class must say what it `trains`: {KINDS}"
        yield from (f"networks.{name}.teachers{problem}" for problem in _teachers(network, board))
        if network.init in networks:
            problems = list(_expect(networks, str(network.init), kind))
            if not problems and conditional(networks[str(network.init)]) != conditional(network):
                problems = [f"of '{network.init}' and '{name}', only one knows classes"]
            for problem in problems:
                yield f"networks.{name}.init: {problem}"
        elif network.init and not Path(network.init).is_dir():
            yield (
                f"networks.{name}.init: '{network.init}' is neither a network nor a diffusers "
                f"folder; {plugins.did_you_mean(network.init, networks)}"
            )
        yield from (f"networks.{name}.dedup{problem}" for problem in _dedup(network, board))
        yield from (f"networks.{name}.labels{problem}" for problem in _labels(network, board))
        if network.data == "drawn":
            yield from (f"networks.{name}{problem}" for problem in _drawn(network))
        yield from _cycle(name, board)


def _dedup(network: Network, board: Resolved) -> Iterator[str]:
    if network.dedup is None:
        return
    extractor, similarity = network.dedup.extractor, network.dedup.similarity
    if extractor not in board.extractors:
        yield f".extractor: {_unknown(extractor, board.extractors, 'extractor')}"
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
        yield f".extractor: {_unknown(labels.extractor, board.extractors, 'extractor')}"
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
        problems = list(_expect(board.networks, teacher, taught_by))
        if not problems and conditional(board.networks[teacher]):
            problems = [f"'{teacher}' knows classes, which its student does not"]
        for problem in problems:
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


def _extractors(board: Resolved) -> Iterator[str]:
    for name, extractor in board.extractors.items():
        uses = bool(plugins.constant("extractors", extractor.method, "uses_network"))
        if extractor.network:
            for problem in _expect(board.networks, extractor.network, "encoder"):
                yield f"extractors.{name}.network: {problem}"
        if uses != bool(extractor.network):
            yield f"extractors.{name}.network: {_wanted(extractor.method, uses, 'network')}"


def _defenses(board: Resolved) -> Iterator[str]:
    for name, defense in board.defenses.items():
        for denoiser in defense.denoisers:
            for problem in _expect(board.networks, denoiser, "denoiser"):
                yield f"defenses.{name}.denoisers: {problem}"
        takes = plugins.constant("defenses", defense.method, "takes")
        if takes is not None and len(defense.denoisers) != takes:
            yield (
                f"defenses.{name}.denoisers: method '{defense.method}' takes {takes}, got "
                f"{len(defense.denoisers)}"
            )
        uses = bool(plugins.constant("defenses", defense.method, "uses_classifier"))
        if defense.classifier:
            for problem in _expect(board.networks, defense.classifier, "classifier"):
                yield f"defenses.{name}.classifier: {problem}"
        if uses != bool(defense.classifier):
            yield f"defenses.{name}.classifier: {_wanted(defense.method, uses, 'classifier')}"
        yield from (f"defenses.{name}{problem}" for problem in _looks(defense, board))
    if "none" not in board.defenses:
        yield "defenses: 'none' is missing; every board needs it to compare"
    elif board.defenses["none"].method != "none":
        yield "defenses.none.method: expected 'none', the undefended model that all are compared to"


def _looks(defense: Defense, board: Resolved) -> Iterator[str]:
    """What is wrong with how a defense looks for members."""
    uses = bool(plugins.constant("defenses", defense.method, "uses_extractor"))
    judge = board.track.evaluation.copies
    if defense.extractor and defense.extractor not in board.extractors:
        yield f".extractor: {_unknown(defense.extractor, board.extractors, 'extractor')}"
    if uses != bool(defense.extractor):
        yield f".extractor: {_wanted(defense.method, uses, 'extractor')}"
    elif _same(defense.extractor, judge, board):
        yield (
            f".extractor: '{defense.extractor}' sees what '{judge}', evaluation.copies, sees, and "
            f"who decides what passes may not be the judge of it; choose another extractor for one "
            f"of them"
        )
    classes = {n: conditional(board.networks[n]) for n in defense.denoisers if n in board.networks}
    if len(set(classes.values())) > 1:
        some = " and ".join(name for name, knows in classes.items() if knows)
        yield f".denoisers: {some} knows classes and the others do not; let all of them or none"
    wanted, there = defense.params.get("neighbors", 0), board.track.subset.members
    if wanted > there:
        yield f".params.neighbors: {wanted} among {there} members; set it to at most {there}"


def _same(one: str | None, other: str, board: Resolved) -> bool:
    """Whether two names of extractors mean the same space."""
    spaces = (board.extractors.get(name or "") for name in (one, other))
    methods = [(e.method, e.network, e.params) for e in spaces if e]
    return len(methods) == 2 and methods[0] == methods[1]


def _wanted(method: str, uses: bool, what: str) -> str:
    return f"method '{method}' {'needs' if uses else 'uses no'} {what}"


def _attacks(board: Resolved) -> Iterator[str]:
    levels = board.track.noise.steps
    for name, attack in board.attacks.items():
        for sees in attack.sees:
            if sees not in accesses(attack.method):
                yield (
                    f"attacks.{name}.sees: method '{attack.method}' can use "
                    f"{' or '.join(accesses(attack.method))}, not {sees}"
                )
        yield from (f"attacks.{name}{problem}" for problem in _extraction(attack, board))
        for defense in attack.against:
            if defense not in board.defenses:
                yield f"attacks.{name}.against: {_unknown(defense, board.defenses, 'defense')}"
        t = attack.params.get("t")
        highest = max(t, default=0) if isinstance(t, list | tuple) else t
        if isinstance(highest, int) and highest >= levels:
            yield (
                f"attacks.{name}.params.t: {highest} is beyond the last noise level, "
                f"{levels - 1} (noise.steps: {levels})"
            )


def _extraction(attack: Attack, board: Resolved) -> Iterator[str]:
    """What is wrong with how an attack draws pictures."""
    uses = bool(plugins.constant("attacks", attack.method, "uses_classifier"))
    if uses != bool(attack.classifier):
        yield f".classifier: {_wanted(attack.method, uses, 'classifier')}"
    elif attack.classifier and attack.classifier not in board.networks:
        yield f".classifier: {_unknown(attack.classifier, board.networks, 'network')}"
    elif attack.classifier:
        found = trains(board.networks[attack.classifier])
        if found not in STEERS:
            said = f"'{attack.classifier}' is a {found}, expected a student or an encoder"
            yield f".classifier: {said}"
    if attack.family and not plugins.constant("attacks", attack.method, "extracts"):
        yield f".family: for extraction attacks, and '{attack.method}' scores images; remove it"


def _judges(board: Resolved) -> Iterator[str]:
    judges = board.track.evaluation
    named = {
        "extractors": judges.extractors,
        "copies": [judges.copies],
        "quality": [judges.quality],
        "copy_thresholds": judges.copy_thresholds,
        "theory.extractor": [judges.theory.extractor] if judges.theory else [],
    }
    for key, names in named.items():
        for name in names:
            if name not in board.extractors:
                yield f"evaluation.{key}: {_unknown(name, board.extractors, 'extractor')}"
    for name, (low, high) in judges.bands.items():
        if low >= high:
            yield f"evaluation.bands.{name}: expected [low, high], got [{low:g}, {high:g}]"
        if name in BANDS:
            yield f"evaluation.bands.{name}: there is one of this name already; choose another"
    if judges.copies not in judges.extractors:
        yield f"evaluation.copies: '{judges.copies}' must be one of evaluation.extractors"


def _sizes(board: Resolved) -> Iterator[str]:
    track = board.track
    size = plugins.constant("datasets", track.dataset.method, "size")
    wanted = track.subset.members + track.subset.held_out
    if size is not None and wanted > size:
        yield (
            f"subset: members + held_out = {wanted}, but dataset '{track.dataset.method}' has "
            f"{size} images; ask for fewer"
        )
    planted = track.subset.duplicates
    if planted and planted.images > track.subset.members:
        yield (
            f"subset.duplicates.images: {planted.images} of {track.subset.members} members; set it "
            f"to at most {track.subset.members}"
        )
    halved = [n for n, e in board.networks.items() if {e.data, *e.teachers} & set(HALVES)]
    if halved and track.subset.members < TO_HALVE:
        yield (
            f"subset.members: {track.subset.members} are too few to halve, and "
            f"networks.{halved[0]} is trained on halves; expected at least {TO_HALVE}"
        )
    if track.subset.members < track.evaluation.neighbors:
        yield (
            f"evaluation.neighbors: {track.evaluation.neighbors} neighbors among "
            f"{track.subset.members} members; set it to at most {track.subset.members}"
        )
    drawn = track.sampling
    if (drawn.extraction_images or 0) > drawn.images:
        yield (
            f"sampling.extraction_images: {drawn.extraction_images} pictures, but plain ones, with "
            f"which they are compared, are {drawn.images} (sampling.images)"
        )
    if track.sampling.steps > track.noise.steps:
        yield (
            f"sampling.steps: {track.sampling.steps} steps, but there are only "
            f"{track.noise.steps} noise levels (noise.steps)"
        )
