"""What types cannot say of a configuration: names that exist, kinds that fit, sizes that are there.

`check` yields one line per problem: file, key, what was expected. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator

from leakboard import network_checks, plugins
from leakboard.config import Resolved
from leakboard.entries import Attack, Defense
from leakboard.kinds import accesses, conditional, expect, trains, unknown, wanted
from leakboard.network_checks import HALVES

STEERS = ("encoder", "student")  # kinds of networks that know several classes
BANDS = ("low", "mid", "high", "copy")  # that AMS and UMS are always told of
TO_HALVE = 4  # members: an image to tune on and one to test on in each half


def check(board: Resolved, both: str, here: str) -> Iterator[str]:
    """The problems of a track; `both` names the files of its entries, `here` that of the track."""
    yield from (f"{both}: {problem}" for problem in network_checks.problems(board))
    yield from (f"{both}: {problem}" for problem in _extractors(board))
    yield from (f"{both}: {problem}" for problem in _defenses(board))
    yield from (f"{both}: {problem}" for problem in _attacks(board))
    yield from (f"{here}: {problem}" for problem in _judges(board))
    yield from (f"{here}: {problem}" for problem in _sizes(board))


def _extractors(board: Resolved) -> Iterator[str]:
    for name, extractor in board.extractors.items():
        uses = bool(plugins.constant("extractors", extractor.method, "uses_network"))
        if extractor.network:
            for problem in expect(board.networks, extractor.network, "encoder"):
                yield f"extractors.{name}.network: {problem}"
        if uses != bool(extractor.network):
            yield f"extractors.{name}.network: {wanted(extractor.method, uses, 'network')}"


def _defenses(board: Resolved) -> Iterator[str]:
    for name, defense in board.defenses.items():
        for denoiser in defense.denoisers:
            for problem in expect(board.networks, denoiser, "denoiser"):
                yield f"defenses.{name}.denoisers: {problem}"
        takes = plugins.constant("defenses", defense.method, "takes")
        if takes is not None and len(defense.denoisers) != takes:
            yield (
                f"defenses.{name}.denoisers: method '{defense.method}' takes {takes}, got "
                f"{len(defense.denoisers)}"
            )
        uses = bool(plugins.constant("defenses", defense.method, "uses_classifier"))
        if defense.classifier:
            for problem in expect(board.networks, defense.classifier, "classifier"):
                yield f"defenses.{name}.classifier: {problem}"
        if uses != bool(defense.classifier):
            yield f"defenses.{name}.classifier: {wanted(defense.method, uses, 'classifier')}"
        yield from (f"defenses.{name}{problem}" for problem in _looks(defense, board))
        if defense.role == "never-saw-members" and not any(network_checks.problems(board)):
            known = set().union(*(network_checks.pools(board, n) for n in defense.denoisers))
            if seen := sorted(known - {"reference"}):
                yield (
                    f"defenses.{name}.role: a model that never saw members learns from 'reference' "
                    f"alone, and {' and '.join(defense.denoisers)} learned from {', '.join(seen)}"
                )
    if "none" not in board.defenses:
        yield "defenses: 'none' is missing; every board needs it to compare"
    elif board.defenses["none"].role != "contestant":
        yield "defenses.none.role: 'none' is the undefended model, and has no other role; remove it"
    elif board.defenses["none"].method != "none":
        yield "defenses.none.method: expected 'none', the undefended model that all are compared to"


def _looks(defense: Defense, board: Resolved) -> Iterator[str]:
    """What is wrong with how a defense looks for members."""
    uses = bool(plugins.constant("defenses", defense.method, "uses_extractor"))
    judge = board.track.evaluation.copies
    if defense.extractor and defense.extractor not in board.extractors:
        yield f".extractor: {unknown(defense.extractor, board.extractors, 'extractor')}"
    if uses != bool(defense.extractor):
        yield f".extractor: {wanted(defense.method, uses, 'extractor')}"
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
    asked, there = defense.params.get("neighbors", 0), board.track.subset.members
    if asked > there:
        yield f".params.neighbors: {asked} among {there} members; set it to at most {there}"


def _same(one: str | None, other: str, board: Resolved) -> bool:
    """Whether two names of extractors mean the same space."""
    spaces = (board.extractors.get(name or "") for name in (one, other))
    methods = [(e.method, e.network, e.params) for e in spaces if e]
    return len(methods) == 2 and methods[0] == methods[1]


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
                yield f"attacks.{name}.against: {unknown(defense, board.defenses, 'defense')}"
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
        yield f".classifier: {wanted(attack.method, uses, 'classifier')}"
    elif attack.classifier and attack.classifier not in board.networks:
        yield f".classifier: {unknown(attack.classifier, board.networks, 'network')}"
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
                yield f"evaluation.{key}: {unknown(name, board.extractors, 'extractor')}"
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
    asked = track.subset.members + track.subset.held_out
    if size is not None and asked > size:
        yield (
            f"subset: members + held_out = {asked}, but dataset '{track.dataset.method}' has "
            f"{size} images; ask for fewer"
        )
    if track.dataset.limit and asked > track.dataset.limit:
        yield (
            f"dataset.limit: {track.dataset.limit}, but subset.members + held_out = {asked}; let "
            f"more images in, or ask for fewer"
        )
    if track.subset.split and track.subset.files:
        yield "subset: `split` and `files` both say where members come from; leave one of them"
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
