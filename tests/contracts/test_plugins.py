"""Every plug-in keeps the promises of its kind: shape, determinism, independence of batch mates.

The parts it runs on are real: exact denoisers and classifiers of a finite set, and tiny networks.
"""

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

import stand_ins
from leakboard import networks, oracles, plugins, resolve
from leakboard.config import Resolved
from leakboard.diffusion import Parts, Recognizer, Schedule, Service
from leakboard.errors import UserError
from leakboard.features import Space
from leakboard.kinds import accesses, trains
from leakboard.lessons import Batch
from leakboard.measures.membership import auc
from leakboard.measures.similarity import from_distance
from leakboard.randomness import PerImage, generator

ROOT = Path(__file__).parents[2]
SCHEDULE = Schedule.linear()
LAST = len(SCHEDULE.abar) - 1
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors: more threads only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def boards() -> dict[str, Resolved]:
    """Every shipped track under the shipped configuration."""
    shared = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    shared["tracks"] = sorted(f.stem for f in (ROOT / "config/tracks").glob("*.yaml"))
    return resolve.read(shared, "config/config.yaml", [ROOT])


def entries(section: str) -> Iterator[Any]:
    """(method, params, entry or None): each method with its defaults, each shipped entry.

    Entries that differ in nothing that a plug-in sees are tried once.
    """
    group = "trainers" if section == "networks" else section
    seen = []
    for method in plugins.modules(group):
        defaults = plugins.defaults(group, method)
        if "required" not in defaults.values():
            yield pytest.param(method, defaults, None, id=method)
            if section == "extractors":
                seen.append((method, defaults, 0))
    for track, board in boards().items():
        for name, entry in getattr(board, section).items():
            method = entry.trainer if section == "networks" else entry.method
            sight = (method, entry.params, len(getattr(entry, "denoisers", ())))
            if sight not in seen:
                yield pytest.param(method, entry.params, entry, id=f"{track}-{name}")
            seen.append(sight)


def every(section: str) -> Any:
    return pytest.mark.parametrize(("method", "params", "entry"), list(entries(section)))


def test_every_method_is_tried() -> None:
    for section in ("networks", "extractors", "defenses", "attacks"):
        group = "trainers" if section == "networks" else section
        assert {p.values[0] for p in entries(section)} == set(plugins.modules(group))


@pytest.mark.parametrize("group", plugins.CLASSES)
def test_what_is_read_from_the_source_is_what_the_class_says(group: str) -> None:
    # Planning reads params without importing a plug-in: both views must agree.
    for method in plugins.modules(group):
        defaults = plugins.defaults(group, method)
        given = {key: "." for key, value in defaults.items() if value == "required"}
        loaded = plugins.load(group, method, given)
        assert is_dataclass(loaded)
        names = [plugins.field(name) for name in defaults]  # `lambda_` for lambda
        assert [field.name for field in fields(loaded)] == names
        for name, value in defaults.items():
            assert getattr(loaded, plugins.field(name)) == given.get(name, value)
        assert type(loaded).__dataclass_params__.frozen
        with pytest.raises(UserError, match="unknown param"):
            plugins.params(group, method, {**given, "no_such_param": 1})
        with pytest.raises(UserError, match="no_such_param"):
            plugins.load(group, method, {**given, "no_such_param": 1})


@pytest.mark.parametrize("group", plugins.CLASSES)
def test_every_plug_in_says_what_it_is_and_stays_small(group: str) -> None:
    for method in plugins.modules(group):
        text = plugins.file(group, method).read_text(encoding="utf-8")
        assert text.startswith('"""')
        assert len(text.splitlines()) <= 120
        assert inspect.getdoc(type(plugins.load(group, method, _given(group, method))))


def _given(group: str, method: str) -> dict[str, Any]:
    defaults = plugins.defaults(group, method).items()
    return {key: "." for key, value in defaults if value == "required"}


# --- defenses ------------------------------------------------------------------------------------

MEMBERS = oracles.draw(64, seed=1)
LEVELS = (0, 1, 20, 100, 400, LAST)


COINS = torch.arange(len(MEMBERS)) % 2


@dataclass(frozen=True)
class Told:
    """An exact denoiser of class 0, guided by 1.5; the classes are the members' coins."""

    schedule: Schedule = SCHEDULE
    guidance: float = 1.5
    classes: Tensor = field(default_factory=lambda: torch.zeros(16, dtype=torch.long))

    def given(self, x: Tensor, t: Tensor, classes: Tensor | None) -> Tensor:
        if classes is None:
            return oracles.Empirical(MEMBERS, SCHEDULE)(x, t)
        each = [oracles.Empirical(MEMBERS[coin == COINS], SCHEDULE)(x, t) for coin in (0, 1)]
        return torch.stack(each)[classes, torch.arange(len(x))]

    def __call__(self, x: Tensor, t: Tensor, *, step: int = 0) -> Tensor:
        free, own = self.given(x, t, None), self.given(x, t, self.classes[: len(x)])
        return free + self.guidance * (own - free)


@cache
def space(method: str) -> Space:
    """The members in an extractor's space, its network as it was before any training.

    In float64: how a library sums a convolution depends on the size of the batch.
    """
    torch.manual_seed(0)
    net = networks.build("encoder", {"width": 8, "dim": 16}, 8, 1, outputs=2).eval().double()
    net.requires_grad_(False)
    extractor = plugins.load("extractors", method, {})

    def extract(x: Tensor) -> Tensor:
        return extractor.features(x.double(), net).float()

    return Space(extract, extractor.measure, MEMBERS, COINS)


def parts(count: int, extractor: str = "pixels", told: bool = False) -> Parts:
    """Exact parts: the denoisers know halves of the members if there are several, else all."""
    exact = [oracles.Empirical(MEMBERS[i::count], SCHEDULE) for i in range(count)]
    return Parts(
        denoisers=[Told()] if told else exact,
        classifier=oracles.RandomLabelPosterior(MEMBERS, COINS, SCHEDULE),
        members=MEMBERS,
        space=space(extractor),
    )


def parts_for(method: str, params: dict[str, Any], entry: Any) -> Parts:
    """What an entry is handed: as many denoisers, and an extractor of the same method."""
    looks = (
        board.extractors[each.extractor].method
        for board in boards().values()
        for each in board.defenses.values()
        if each is entry and each.extractor
    )
    return parts(denoisers(method, entry), next(looks, "pixels"), bool(params.get("weaken")))


def denoisers(method: str, entry: Any) -> int:
    """How many denoisers an entry has, or else the first shipped entry of its method."""
    shipped = (e for b in boards().values() for e in b.defenses.values() if e.method == method)
    entry = entry or next(shipped, None)
    return len(entry.denoisers) if entry else 1


def predictor(method: str, params: dict[str, Any], entry: Any) -> Any:
    return plugins.load("defenses", method, params).guard(parts_for(method, params, entry))


def noised(t: int) -> Tensor:
    """16 images at level t: half of them are noised members, half noised strangers."""
    clean = torch.cat([MEMBERS[:8], oracles.draw(8, seed=2)])
    eps = torch.randn(clean.shape, generator=torch.Generator().manual_seed(t))
    return SCHEDULE.noised(clean, eps, torch.tensor(t))


@every("defenses")
def test_a_defense_predicts_noise_like_the_images_it_gets(method, params, entry) -> None:
    guarded = predictor(method, params, entry)
    assert torch.equal(guarded.schedule.abar, SCHEDULE.abar)
    for step, t in enumerate(LEVELS):
        for level in (torch.tensor(t), torch.full((16,), t)):
            eps = guarded(noised(t), level, step=step)
            assert eps.shape == (16, 1, 8, 8)
            assert eps.dtype == torch.float32
            assert eps.isfinite().all()
            assert not eps.requires_grad


@every("defenses")
def test_a_defense_answers_the_same_question_the_same_way(method, params, entry) -> None:
    for step, t in enumerate(LEVELS):
        one, other = (predictor(method, params, entry) for _ in range(2))
        first = one(noised(t), torch.tensor(t), step=step)
        one(noised(t).flip(0), torch.tensor(t), step=step)  # no memory of earlier calls
        assert torch.equal(one(noised(t), torch.tensor(t), step=step), first)
        assert torch.equal(other(noised(t), torch.tensor(t), step=step), first)


@every("defenses")
def test_batch_mates_never_matter_to_a_defense(method, params, entry) -> None:
    # A defense may follow a batch from step to step, so every image alone has a predictor.
    guarded = predictor(method, params, entry)
    followed = [predictor(method, params, entry) for _ in range(16)]
    for step, t in enumerate(LEVELS):
        x = noised(t)
        together = guarded(x, torch.tensor(t), step=step)
        for j in range(16):
            alone = followed[j](x[j : j + 1], torch.tensor(t), step=step)
            torch.testing.assert_close(alone[0], together[j], **CLOSE)


@every("defenses")
def test_each_image_of_a_batch_may_have_its_own_level(method, params, entry) -> None:
    guarded = predictor(method, params, entry)
    levels = torch.tensor([LEVELS[j % len(LEVELS)] for j in range(16)])
    x = torch.stack([noised(int(t))[j] for j, t in enumerate(levels)])
    together = guarded(x, levels, step=3)
    for j, t in enumerate(levels):
        torch.testing.assert_close(guarded(x[j : j + 1], t, step=3)[0], together[j], **CLOSE)


@every("defenses")
def test_a_defense_leaves_its_inputs_as_they_are(method, params, entry) -> None:
    guarded, members = predictor(method, params, entry), MEMBERS.clone()
    for step, t in enumerate(LEVELS):
        x, level = noised(t), torch.full((16,), t)
        guarded(x, level, step=step)
        assert torch.equal(x, noised(t))
        assert not x.requires_grad
        assert torch.equal(level, torch.full((16,), t))
    assert torch.equal(MEMBERS, members)


@every("defenses")
def test_a_defense_leaves_what_its_denoisers_say_as_it_is(method, params, entry) -> None:
    said: list[tuple[Tensor, Tensor]] = []

    class Recorded:
        schedule = SCHEDULE

        def __init__(self, denoiser: Any) -> None:
            self.denoiser = denoiser

        def __getattr__(self, name: str) -> Any:
            return getattr(self.denoiser, name)

        def __call__(self, x: Tensor, t: Tensor, *, step: int) -> Tensor:
            eps = self.denoiser(x, t, step=step)
            said.append((eps, eps.clone()))
            return eps

    real = parts_for(method, params, entry)
    recorded = replace(real, denoisers=[Recorded(d) for d in real.denoisers])
    guarded = plugins.load("defenses", method, params).guard(recorded)
    for step, t in enumerate(LEVELS):
        guarded(noised(t), torch.tensor(t), step=step)
    assert bool(said) != (method in ("copy-machine", "noise"))  # these controls ask nobody
    assert all(torch.equal(eps, before) for eps, before in said)


@every("defenses")
def test_a_defense_works_where_gradients_are_off_and_where_they_are_on(
    method, params, entry
) -> None:
    guarded, t = predictor(method, params, entry), torch.tensor(100)
    with torch.no_grad():
        off = guarded(noised(100), t, step=0)
    assert torch.equal(guarded(noised(100), t, step=0), off)


STRENGTHS = ("scale", "strength")  # a param of this name does nothing at 0
STRONG = [case for case in entries("defenses") if set(STRENGTHS) & case.values[1].keys()]


@pytest.mark.parametrize(("method", "params", "entry"), STRONG)
def test_a_defense_of_no_strength_is_no_defense_bit_for_bit(method, params, entry) -> None:
    weak = {**params, **{key: 0.0 for key in STRENGTHS if key in params}}
    (undefended,) = parts_for(method, params, entry).denoisers[:1]
    guarded, acts = predictor(method, weak, entry), predictor(method, params, entry)
    moved = False
    for step, t in enumerate(LEVELS):
        x, level = noised(t), torch.tensor(t)
        bare = undefended(x, level, step=step)
        assert torch.equal(guarded(x, level, step=step), bare)
        moved |= not torch.equal(acts(x, level, step=step), bare)
    assert moved, "it does nothing at full strength either"


# --- attacks -------------------------------------------------------------------------------------

AUDITED = torch.cat([oracles.draw(40, seed=3), oracles.draw(40, seed=4)])  # members, strangers
MEMBER = np.arange(80) < 40
KNOWS = oracles.Empirical(AUDITED[:40], SCHEDULE)
# Extraction attacks score no image: they draw.
SCORING = [
    case
    for case in entries("attacks")
    if not plugins.constant("attacks", case.values[0], "extracts")
]
EVERY = pytest.mark.parametrize(("method", "params", "entry"), SCORING)
QUICK = {"width": 4, "epochs": 30, "lr": 0.01, "batch_size": 16}  # 40 images teach no large head


def attacker(method: str, params: dict[str, Any]) -> Any:
    quick = {key: value for key, value in QUICK.items() if key in params}
    return plugins.load("attacks", method, {**params, **quick})


def asked(attack: Any, predictor: Any) -> Any:
    """What an attack is handed: the predictor, no more than a service around it, or nothing.

    Who asks the classifier is handed the exact one of the images that the predictor knows.
    """
    sees = getattr(attack, "sees", ("weights", "predictor"))
    if getattr(attack, "asks", "denoisers") == "classifier":
        coins = torch.arange(len(predictor.images)) % 2
        return Recognizer(oracles.RandomLabelPosterior(predictor.images, coins, SCHEDULE), SCHEDULE)
    if sees == ("nothing",):
        return None
    return Service(predictor) if sees == ("images",) else predictor


def queries(attack: Any) -> Any:
    """The method that looks at images: `score`, or `features` before a trained head."""
    return attack.features if hasattr(attack, "fit") else attack.score


def scores(attack: Any, images: Tensor, rows: Any, target: Any = KNOWS, seed: int = 0) -> Tensor:
    """The scores of images; a trained head has learned from every other one of AUDITED."""
    found = queries(attack)(asked(attack, target), images, PerImage("test", seed, indices=rows))
    if not hasattr(attack, "fit"):
        return found
    taught = range(0, len(AUDITED), 2)
    rng = PerImage("test", seed, indices=taught)
    features = attack.features(asked(attack, target), AUDITED[list(taught)], rng)
    members = torch.from_numpy(MEMBER[list(taught)])
    return attack.fit(features, members, generator("head", seed))(found)


def unheard(attack: Any) -> slice:
    """The images of AUDITED that no head has learned from."""
    return slice(1, None, 2) if hasattr(attack, "fit") else slice(None)


@EVERY
def test_an_attack_gives_one_finite_number_per_image(method, params, entry) -> None:
    found = scores(attacker(method, params), AUDITED, range(80))
    assert found.shape == (80,)
    assert found.is_floating_point()
    assert found.isfinite().all()
    assert not found.requires_grad
    assert len(found.unique()) > 40


@EVERY
def test_an_attack_scores_members_higher(method, params, entry) -> None:
    attack = attacker(method, params)
    rest = unheard(attack)
    found = auc(scores(attack, AUDITED, range(80))[rest].numpy(), MEMBER[rest])
    if accesses(method) == ("nothing",):  # of a fair split: standard deviation 0.09
        assert 0.3 < found < 0.7
    else:
        assert found > 0.9


@EVERY
def test_an_attack_on_a_model_of_strangers_knows_nothing(method, params, entry) -> None:
    # 300 + 300 images: the AUC of a guess has standard deviation 0.024.
    third = oracles.Empirical(oracles.draw(40, seed=5), SCHEDULE)
    images = torch.cat([oracles.draw(300, seed=6), oracles.draw(300, seed=7)])
    found = scores(attacker(method, params), images, range(600), third)
    assert 0.42 < auc(found.numpy(), np.arange(600) < 300) < 0.58


@EVERY
def test_batch_mates_never_matter_to_an_attack(method, params, entry) -> None:
    attack = attacker(method, params)
    together = scores(attack, AUDITED, range(80))
    rows = [3, 50, 79]
    some = scores(attack, AUDITED[rows], rows)
    torch.testing.assert_close(some, together[rows], rtol=1e-4, atol=1e-6)
    alone = scores(attack, AUDITED[50:51], [50])
    torch.testing.assert_close(alone, together[50:51], rtol=1e-4, atol=1e-6)


@EVERY
def test_an_attack_with_the_same_seeds_finds_the_same(method, params, entry) -> None:
    images = AUDITED.clone()
    before = torch.get_rng_state()
    one, other = (scores(attacker(method, params), images, range(80)) for _ in "ab")
    assert torch.equal(one, other)
    assert torch.equal(images, AUDITED)
    assert torch.equal(torch.get_rng_state(), before)


@EVERY
def test_labels_are_never_in_an_attack_s_sight(method, params, entry) -> None:
    attack = plugins.load("attacks", method, params)
    assert list(inspect.signature(queries(attack)).parameters) == ["target", "images", "rng"]
    if hasattr(attack, "fit"):  # it is told the labels of the dev half; see test_heads
        assert list(inspect.signature(attack.fit).parameters) == ["features", "members", "rng"]
        assert attack.folds >= 2


@EVERY
def test_an_attack_asks_for_one_step_after_another(method, params, entry) -> None:
    steps: list[int] = []

    class Asked:
        schedule = SCHEDULE

        def __call__(self, x: Tensor, t: Tensor, *, step: int) -> Tensor:
            steps.append(step)
            return KNOWS(x, t, step=step)

    attack = plugins.load("attacks", method, params)
    if getattr(attack, "asks", "denoisers") == "classifier":  # has no steps
        return
    queries(attack)(asked(attack, Asked()), AUDITED[:2], PerImage("test", 0, indices=range(2)))
    if accesses(method) == ("nothing",):
        assert not steps
    elif isinstance(asked(attack, KNOWS), Service):  # every call of a service begins anew
        assert steps[0] == 0
        assert all(step in (0, before + 1) for before, step in pairwise(steps))
    else:
        assert steps == list(range(len(steps)))


@EVERY
def test_an_attack_that_sees_images_uses_nothing_of_a_service_but_its_pictures(
    method, params, entry
) -> None:
    attack = plugins.load("attacks", method, params)
    service = asked(attack, KNOWS)
    if not isinstance(service, Service):
        assert "images" not in accesses(method)
        return

    class Shop:
        """Pictures for pictures."""

        vary = staticmethod(service.vary)

    rng = PerImage("test", 0, indices=range(4))
    found = attack.score(Shop(), AUDITED[:4], rng)
    assert torch.equal(found, scores(attack, AUDITED[:4], range(4)))
    assert accesses(method) == ("images",)


def test_noise_that_an_attack_draws_comes_from_its_generators() -> None:
    attack = plugins.load("attacks", "loss", {"t": 100, "draws": 1})
    before = torch.get_rng_state()
    one, other = (scores(attack, AUDITED, range(80), seed=seed) for seed in (0, 1))
    assert (one != other).all()
    assert torch.equal(torch.get_rng_state(), before)


# --- extraction attacks --------------------------------------------------------------------------

DRAWING = [
    case
    for case in entries("attacks")
    if plugins.constant("attacks", case.values[0], "extracts")
    and case.values[1].get("lambda") in (None, 0, 1, 2, 5, 6, 50)  # of the grids, enough
]
EVERY_DRAWING = pytest.mark.parametrize(("method", "params", "entry"), DRAWING)
POSTERIOR = oracles.ClassPosterior(MEMBERS, torch.arange(64) % 7, SCHEDULE)


@EVERY_DRAWING
def test_an_extraction_attack_steers_or_picks_or_draws_plainly(method, params, entry) -> None:
    attack = plugins.load("attacks", method, params)
    said = [bool(plugins.constant("attacks", method, name)) for name in ("guides", "keeps")]
    assert [hasattr(attack, name) for name in ("guide", "keep")] == said
    assert sum(said) <= 1
    assert not hasattr(attack, "score")
    assert set(accesses(method)) <= {"weights", "predictor", "images"}
    if entry is not None:
        uses = bool(plugins.constant("attacks", method, "uses_classifier"))
        assert uses == bool(entry.classifier)


@EVERY_DRAWING
def test_who_steers_does_it_picture_by_picture(method, params, entry) -> None:
    attack = plugins.load("attacks", method, params)
    if not hasattr(attack, "guide"):
        return
    model, classes = oracles.Empirical(MEMBERS, SCHEDULE), torch.arange(16) % 7
    for level in (1, 100, 400):
        x, t = noised(level), torch.tensor(level)
        whole = attack.guide(model, POSTERIOR, classes)(x, t, step=3)
        assert whole.shape == x.shape
        assert whole.isfinite().all()
        assert not whole.requires_grad
        again = attack.guide(model, POSTERIOR, classes)(x, t, step=3)
        assert torch.equal(whole, again)
        rows = torch.tensor([11, 2, 7])
        some = attack.guide(model, POSTERIOR, classes[rows])(x[rows], t, step=3)
        torch.testing.assert_close(some, whole[rows], **CLOSE)
        each = attack.guide(model, POSTERIOR, classes)(x, t.expand(16), step=3)
        torch.testing.assert_close(each, whole, **CLOSE)
        moved = (whole - model(x, t)).abs().max() > 1e-6
        assert moved or params["lambda"] == 0 or level == 1


@EVERY_DRAWING
def test_who_picks_picks_the_same_whatever_the_order(method, params, entry) -> None:
    attack = plugins.load("attacks", method, params)
    if not hasattr(attack, "keep"):
        return
    again = MEMBERS[:4].repeat(12, 1, 1, 1)
    noise = torch.randn(again.shape, generator=generator("keep"))
    pictures = torch.cat([again + 0.01 * noise, oracles.draw(30, seed=9)])
    kept = attack.keep(pictures)
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert len(kept) == 4  # one of each that came out again and again, and no stranger
    order = torch.randperm(len(pictures), generator=generator("order"))
    assert set(order[attack.keep(pictures[order])].tolist()) == set(kept.tolist())


# --- trainers ------------------------------------------------------------------------------------

TINY: dict[str, dict[str, Any]] = {
    "denoiser": {
        "block_out_channels": [8, 16],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4,
        "attention_head_dim": 4,
    },
    "classifier": {"block_out_channels": [8, 16], "norm_num_groups": 4, "attention_head_dim": 4},
    "encoder": {"width": 8, "dim": 16},
}
LABELS = torch.arange(8) % 5


def tiny(kind: str, **more: int) -> Any:
    torch.manual_seed(0)
    return networks.build(kind, TINY[kind], size=8, channels=1, **more)


def learning(method: str, params: dict[str, Any]) -> tuple[Any, Any, Batch]:
    """A trainer, a tiny network of its kind, and a batch of 8 images of 5 classes."""
    trainer = plugins.load("trainers", method, params)
    kind, uses = type(trainer).trains, plugins.constant("trainers", method, "uses_teachers")
    teacher = teaching(getattr(trainer, "taught_by", kind), trainer) if uses else None
    if kind == "student":  # is built like its teacher
        torch.manual_seed(0)
        net = networks.student(teacher).train()
    else:
        net = tiny(kind, **trainer.outputs(LABELS)).train()
    batch = Batch(oracles.draw(8, seed=8), LABELS, torch.arange(8) + 100, SCHEDULE, teacher)
    return trainer, net, batch


def teaching(kind: str, trainer: Any) -> Any:
    """A teacher that differs from every student: other weights, and frozen only by its student."""
    torch.manual_seed(1)
    return networks.build(kind, TINY[kind], size=8, channels=1, **trainer.outputs(LABELS)).eval()


@every("networks")
def test_a_trainer_says_what_it_trains(method, params, entry) -> None:
    kind = type(plugins.load("trainers", method, params)).trains
    assert kind in networks.KINDS
    assert kind == plugins.constant("trainers", method, "trains")
    assert entry is None or kind == trains(entry)


@every("networks")
def test_a_loss_is_a_finite_number_with_a_gradient(method, params, entry) -> None:
    trainer, net, batch = learning(method, params)
    loss = trainer.loss(net, batch, generator("a"))
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert len(gradients) > len(list(net.parameters())) / 2
    assert all(g.isfinite().all() for g in gradients)
    assert any((g != 0).any() for g in gradients)


@every("networks")
def test_a_loss_takes_its_randomness_from_its_generator(method, params, entry) -> None:
    trainer, net, batch = learning(method, params)
    before, images = torch.get_rng_state(), batch.images.clone()
    one, same, other = (trainer.loss(net, batch, generator(name)).item() for name in "aab")
    assert one == same
    assert one != other
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(batch.images, images)


@every("networks")
def test_a_teacher_is_never_taught(method, params, entry) -> None:
    trainer, net, batch = learning(method, params)
    if batch.teacher is None:
        assert not plugins.constant("trainers", method, "uses_teachers")
        return
    before = [p.clone() for p in batch.teacher.parameters()]
    trainer.loss(net, batch, generator("a")).backward()
    after = list(batch.teacher.parameters())
    assert all(p.requires_grad and p.grad is None for p in after)  # by the loss, not by luck
    assert all(torch.equal(p, q) for p, q in zip(before, after, strict=True))


@pytest.mark.parametrize("method", plugins.modules("trainers"))
def test_a_loss_falls_when_it_is_followed(method: str) -> None:
    trainer, net, batch = learning(method, plugins.defaults("trainers", method))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = trainer.loss(net, batch, generator("the same noise"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05 * abs(losses[0])


# --- extractors ----------------------------------------------------------------------------------


def features(method: str, params: dict[str, Any], images: Tensor) -> Tensor:
    if plugins.constant("extractors", method, "reads"):
        extractor, net = stand_ins.ready(method, params)
    else:
        extractor = plugins.load("extractors", method, params)
        net = tiny("encoder", outputs=5).eval().requires_grad_(False)
    return extractor.features(images, net)


@every("extractors")
def test_an_extractor_gives_one_finite_vector_per_image(method, params, entry) -> None:
    images = oracles.draw(16, seed=9)
    found = features(method, params, images)
    assert found.shape[0] == 16
    assert found.dim() == 2
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert torch.equal(images, oracles.draw(16, seed=9))
    assert torch.cdist(found, found).add(torch.eye(16)).min() > 1e-4  # it tells images apart


@every("extractors")
def test_batch_mates_never_matter_to_an_extractor(method, params, entry) -> None:
    n = 4 if plugins.constant("extractors", method, "reads") else 16  # those networks are large
    images = oracles.draw(n, seed=9)
    together = features(method, params, images)
    for j in range(n):
        alone = features(method, params, images[j : j + 1])
        torch.testing.assert_close(alone[0], together[j], **CLOSE)


@every("extractors")
def test_an_extractor_says_how_its_distances_become_similarities(method, params, entry) -> None:
    measure = plugins.constant("extractors", method, "measure")
    assert measure == type(plugins.load("extractors", method, params)).measure
    nearer, farther = from_distance(np.array([0.1, 0.5]), measure)
    assert nearer > farther
    if measure == "cosine":
        norms = features(method, params, oracles.draw(16, seed=9)).norm(dim=1)
        torch.testing.assert_close(norms, torch.ones(16), **CLOSE)


def test_the_distance_of_pixels_is_their_rms_difference() -> None:
    images = torch.stack([-torch.ones(1, 8, 8), torch.ones(1, 8, 8)])
    black, white = features("pixels", {}, images)
    assert (white - black).norm().item() == pytest.approx(1)


# --- installed packages --------------------------------------------------------------------------

MUTE = '''
"""A defense from elsewhere."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from leakboard.diffusion import Guarded, Parts, Predictor


@dataclass(frozen=True)
class Defense:
    """The noise, made smaller."""

    scale: Annotated[float, Ge(0)] = 1.0

    def guard(self, parts: Parts) -> Predictor:
        (denoiser,) = parts.denoisers

        def eps(x, t, *, step):
            return denoiser(x, t, step=step) / (1 + self.scale)

        return Guarded(eps, denoiser.schedule)
'''


def installed(site: Path, name: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run code where a package is installed that offers a defense of this name."""
    info = site / "mute-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mute\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[leakboard.defenses]\n{name} = mute.quiet:Defense\n")
    (site / "mute").mkdir()
    (site / "mute" / "__init__.py").write_text("")
    (site / "mute" / "quiet.py").write_text(MUTE.lstrip())
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_installed_package_adds_a_defense(tmp_path: Path) -> None:
    code = f"""
import json, sys, yaml
from pathlib import Path
from leakboard import plugins, resolve
from leakboard.errors import UserError
from leakboard.plan import Plan
from leakboard.sources import sources
root = Path({str(ROOT)!r})
shared = yaml.safe_load((root / "config/config.yaml").read_text())
shared["tracks"] = ["digits"]
shared["defenses"]["quiet"] = {{"denoisers": ["base"], "method": "mute", "params": {{"scale": 3}}}}
def read():
    return resolve.read(shared, "config/config.yaml", [root])["digits"]
plan = Plan(read())
found = sources(root / "workflow/sample.py", plan.plugins("sample", defense="quiet"))
said = {{
    "params": plan.board.defenses["quiet"].params,
    "sources": [f.name for f in found if not f.is_relative_to(root)],
    "light": "torch" not in sys.modules and "mute.quiet" not in sys.modules,
}}
shared["defenses"]["quiet"]["params"]["scale"] = -3
try:
    read()
except UserError as error:
    said["refused"] = str(error)
import torch
from leakboard import oracles
from leakboard.diffusion import Parts, Schedule
bare = oracles.Empirical(oracles.draw(4), Schedule.linear())
guarded = plugins.load("defenses", "mute", {{"scale": 3}}).guard(Parts([bare]))
x, t = oracles.draw(2, seed=1), torch.tensor(100)
said["acts"] = torch.allclose(guarded(x, t, step=0), bare(x, t) / 4)
print(json.dumps(said))
"""
    done = installed(tmp_path / "site", "mute", code)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert "defenses.quiet.params.scale" in said.pop("refused")
    assert said == {
        "params": {"scale": 3.0},
        "sources": ["quiet.py"],
        "light": True,
        "acts": True,
    }


def test_an_installed_package_may_not_take_a_built_in_s_name(tmp_path: Path) -> None:
    code = """
from leakboard import plugins
from leakboard.errors import UserError
try:
    plugins.modules("defenses")
except UserError as error:
    print(error)
"""
    done = installed(tmp_path / "site", "cpsample", code)
    assert done.stderr == ""
    for part in ("'cpsample'", "twice", "leakboard.defenses.cpsample", "mute.quiet", "uninstall"):
        assert part in done.stdout
