"""DualMD and DistillMD: who is asked when, who teaches whom, and what an attacker gets of it."""

from itertools import pairwise
from math import ceil, floor

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from leakboard import artefacts, networks, oracles, splits, subset, training
from leakboard.attacks.reconstruction import Attack
from leakboard.data.digits import Dataset
from leakboard.defenses import alternate, average
from leakboard.diffusion import Parts, Schedule, Service, sample
from leakboard.digests import digest
from leakboard.images import to_float
from leakboard.lessons import Batch
from leakboard.randomness import PerImage, generator
from leakboard.trainers import distill, standard

SCHEDULE = Schedule.linear()
NOISE = {"steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
HALVES = oracles.draw(40, seed=1), oracles.draw(40, seed=2)
SHAPE = (1, 8, 8)


class Asked:
    """A predictor that remembers at which steps and levels it was asked."""

    schedule = SCHEDULE

    def __init__(self, inner, log, name):
        self.inner, self.log, self.name = inner, log, name

    def __call__(self, x, t, *, step):
        self.log.append((self.name, step, int(t)))
        return self.inner(x, t, step=step)


def pair(log):
    exact = (oracles.Empirical(half, SCHEDULE) for half in HALVES)
    return Parts([Asked(model, log, name) for model, name in zip(exact, "ab", strict=True)])


def noise(n=2):
    return PerImage("test", indices=range(n))


# --- taking turns --------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [7, 20, 50, 100])
def test_two_models_take_turns_whatever_the_number_of_steps(steps):
    log = []
    sample(alternate.Defense().guard(pair(log)), noise(), SHAPE, steps=steps)
    names = "".join(name for name, _, _ in log)
    assert names.count("a") == ceil(steps / 2)
    assert names.count("b") == floor(steps / 2)
    assert names == ("ab" * steps)[:steps]


@pytest.mark.parametrize("steps", [20, 50, 100])
def test_all_levels_of_these_samplers_are_even_so_turns_cannot_be_told_by_the_level(steps):
    log = []
    sample(alternate.Defense().guard(pair(log)), noise(), SHAPE, steps=steps)
    assert len(log) == steps
    assert all(t % 2 == 0 for _, _, t in log)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.6, 0.75, 0.9])
def test_a_share_of_the_steps_is_spread_evenly_and_begins_with_the_first_model(share):
    defense = alternate.Defense(share=share)
    turns = [defense.first_at(step) for step in range(200)]
    assert turns[0]
    for n in range(1, 201):
        expected = ceil(round(share * n, 9))
        assert sum(turns[:n]) == expected
    rarer = turns if share <= 0.5 else [not turn for turn in turns]
    gaps = [b - a for a, b in pairwise(i for i, turn in enumerate(rarer) if turn)]
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(("share", "only"), [(1.0, 0), (0.0, 1)])
def test_a_model_that_takes_every_step_draws_as_if_it_were_alone(share, only):
    parts = pair([])
    both = sample(alternate.Defense(share=share).guard(parts), noise(), SHAPE, steps=10)
    alone = sample(parts.denoisers[only], noise(), SHAPE, steps=10)
    assert torch.equal(both, alone)


def test_the_average_asks_every_model_at_every_step():
    log = []
    guarded = average.Defense().guard(pair(log))
    x, t = torch.randn(3, *SHAPE, generator=generator("x")), torch.tensor(100)
    one, two = (oracles.Empirical(half, SCHEDULE)(x, t) for half in HALVES)
    torch.testing.assert_close(guarded(x, t, step=0), (one + two) / 2)
    assert [name for name, _, _ in log] == ["a", "b"]
    sample(guarded, noise(), SHAPE, steps=10)
    assert len(log) == 2 + 20
    alone = Parts([oracles.Empirical(HALVES[0], SCHEDULE)])
    assert torch.equal(average.Defense().guard(alone)(x, t, step=0), one)


# --- who teaches whom ----------------------------------------------------------------------------

IMAGES, LABELS = Dataset().load()
SPLIT = splits.split(IMAGES, LABELS, members=100, held_out=1000, near_duplicate=0.06, seed=0)
ROWS = {pool: subset.rows_of_pool(SPLIT, pool) for pool in ("half-a", "half-b", "held-out")}
UNET = {
    "block_out_channels": [16, 32],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
    "attention_head_dim": 8,
}
SETTINGS = {
    "steps": 400,
    "batch_size": 32,
    "lr": 4e-3,
    "lr_decay": "cosine",
    "warmup": 20,
    "weight_decay": 0.0,
    "gradient_clip": 1.0,
    "ema_decay": 0.99,
    "flip": False,
    "stop_after": 1.0,
}


def spec_of(network, trainer, data, teachers=()):
    return {
        "track": "test",
        "network": network,
        "seed": 0,
        "kind": "denoiser",
        "teachers": dict(teachers),
        "data": data,
        "architecture": UNET,
        "training": SETTINGS,
        "trainer": {"method": trainer, "params": {}},
        "noise": NOISE,
    }


def prepared(spec, trainer, pools, folder, teachers=()):
    return training.prepare(
        spec,
        trainer,
        IMAGES,
        LABELS,
        {pool: ROWS[pool] for pool in pools},
        init=None,
        teachers=dict(teachers),
        inputs=[],
        checkpoints=folder / "checkpoints",
    )


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A training by alternating distillation, whose teachers were really trained on the halves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder, digests = tmp_path_factory.mktemp("networks"), {}
    for half in ("half-a", "half-b"):
        spec = spec_of(half, "standard", half)
        made = prepared(spec, standard.Trainer(), [half], folder / half)
        networks.save(made.run(), folder / half, SCHEDULE, NOISE, artefacts.about(spec))
        digests[half] = digest(spec)
    across = {"half-a": "half-b", "half-b": "half-a"}
    spec = spec_of(
        "distilled", "distill", "members", {pool: digests[t] for pool, t in across.items()}
    )
    made = prepared(
        spec,
        distill.Trainer(),
        across,
        folder / "distilled",
        {pool: folder / teacher for pool, teacher in across.items()},
    )
    yield made
    torch.set_num_threads(threads)


def loss(net, rows, draws=12):
    """The denoising loss of a network on these images: the same 50 levels for every pool."""
    images, levels = to_float(IMAGES[rows]), torch.arange(50, 550, 10)
    total = 0.0
    for draw in range(draws):
        rng = generator("loss", draw)
        t = levels.repeat(len(images) // 50)[torch.randperm(len(images), generator=rng)]
        eps = torch.randn(images.shape, generator=rng)
        with torch.no_grad():
            said = net(SCHEDULE.noised(images, eps, t), t).sample
        total += (said - eps).square().mean().item()
    return total / draws


def test_a_teacher_teaches_on_images_as_strange_to_it_as_held_out_ones(student):
    lessons = {lesson.pool: lesson for lesson in student.lessons}
    strange = {pool: loss(lesson.teacher, ROWS[pool]) for pool, lesson in lessons.items()}
    held_out = {pool: loss(lessons[pool].teacher, ROWS["held-out"]) for pool in lessons}
    assert sum(strange.values()) / sum(held_out.values()) == pytest.approx(1, abs=0.05)
    # The mapping the wrong way around would show: a teacher knows its own half far better.
    other = {"half-a": "half-b", "half-b": "half-a"}
    known = {pool: loss(lessons[pool].teacher, ROWS[other[pool]]) for pool in lessons}
    assert sum(known.values()) / sum(held_out.values()) < 0.9


def test_exact_models_of_the_halves_of_real_digits_find_the_other_half_as_strange():
    split = splits.split(IMAGES, LABELS, members=800, held_out=900, near_duplicate=0.06, seed=0)
    rows = {pool: subset.rows_of_pool(split, pool) for pool in ROWS}
    for data, teacher in (("half-a", "half-b"), ("half-b", "half-a")):
        exact = oracles.Empirical(to_float(IMAGES[rows[teacher]]), SCHEDULE)

        def net(x, t, exact=exact):
            return type("Said", (), {"sample": exact(x, t)})

        held_out = loss(net, rows["held-out"], draws=4)
        assert loss(net, rows[data], draws=4) / held_out == pytest.approx(1, abs=0.05)
        assert loss(net, rows[teacher], draws=4) / held_out < 0.5


def test_batches_come_from_the_halves_in_turn_each_with_the_other_halfs_model(student):
    seen = []

    class Watched:
        def loss(self, net, batch, rng):
            seen.append((set(batch.index.tolist()), batch.teacher))
            return distill.Trainer().loss(net, batch, rng)

    student.trainer = Watched()
    teachers = [lesson.teacher for lesson in student.lessons]
    before = [[p.clone() for p in teacher.parameters()] for teacher in teachers]
    for _ in range(4):  # two batches of 32 show each of 50 images
        student._advance()
    for step, (index, teacher) in enumerate(seen):
        assert index <= set(ROWS["half-a" if step % 2 == 0 else "half-b"].tolist())
        assert teacher is teachers[step % 2]
    for first in (0, 1):
        shown = set().union(*(index for index, _ in seen[first::2]))
        assert shown == set(ROWS["half-a" if first == 0 else "half-b"].tolist())
    for teacher, old in zip(teachers, before, strict=True):
        assert not teacher.training
        for p, q in zip(teacher.parameters(), old, strict=True):
            assert p.grad is None
            assert torch.equal(p, q)
    assert student.epochs == 4 * 32 / 100


def test_the_true_noise_is_no_target():
    # A student that already says what its teacher says has nothing to learn, whatever the noise.
    torch.manual_seed(0)
    teacher = networks.build("denoiser", UNET, 8, 1).eval()
    x = to_float(IMAGES[:8])
    for name in "ab":
        batch = Batch(x, torch.zeros(8), torch.arange(8), SCHEDULE, teacher)
        assert distill.Trainer().loss(teacher, batch, generator(name)).item() < 1e-10
        assert standard.Trainer().loss(teacher, batch, generator(name)).item() > 0.1


def test_the_halves_are_disjoint_make_up_the_members_and_share_no_near_copy():
    a, b = set(ROWS["half-a"]), set(ROWS["half-b"])
    assert not a & b
    assert a | b == set(subset.rows_of_pool(SPLIT, "members"))
    assert len(a) == len(b) == 50
    # Copies planted in the dataset: without a threshold for near ones, equal ones are still apart.
    doubled, labels = np.concatenate([IMAGES[:60]] * 2), np.concatenate([LABELS[:60]] * 2)
    for near, nearest in ((0.0, 1e-9), (0.06, 0.06)):
        split = splits.split(doubled, labels, members=40, held_out=10, near_duplicate=near, seed=0)
        one, two = (doubled[subset.rows_of_pool(split, h)] / 255 for h in ("half-a", "half-b"))
        gaps = np.sqrt(((one[:, None] - two[None]) ** 2).mean((2, 3, 4)))
        assert gaps.min() > nearest


# --- what an attacker gets -----------------------------------------------------------------------


def test_the_service_of_one_step_shows_the_first_model_alone():
    log = []
    service = Service(alternate.Defense().guard(pair(log)))
    Attack(t=100, steps=1, draws=5).score(service, HALVES[0][:2], noise())
    assert {name for name, _, _ in log} == {"a"}
    assert {t for _, _, t in log} == {100}
    assert len(log) == 5


def test_one_step_finds_the_first_models_half_and_turns_hide_it_from_a_longer_service():
    strangers = oracles.draw(80, seed=3)
    images = torch.cat([*HALVES, strangers])
    member = np.arange(160) < 80
    first, second = (np.r_[i * 40 : i * 40 + 40, 80:160] for i in (0, 1))

    def aucs(steps, guard):
        attack, rng = Attack(t=200, steps=steps, draws=4), PerImage("x", indices=range(160))
        score = attack.score(Service(guard), images, rng).numpy()
        return [roc_auc_score(member[rows], score[rows]) for rows in (first, second)]

    known, hidden = aucs(1, alternate.Defense().guard(pair([])))
    assert known > 0.99
    assert abs(hidden - 0.5) < 0.12
    both = aucs(1, average.Defense().guard(pair([])))
    assert abs(both[0] - both[1]) < 0.1  # who averages favors neither half


@pytest.mark.parametrize(("steps", "rounds"), [(5, 1), (5, 2), (10, 3), (4, 4)])
def test_each_round_of_the_adaptive_attack_begins_a_level_lower_with_the_first_model(steps, rounds):
    log = []
    service = Service(alternate.Defense().guard(pair(log)))
    Attack(t=200, steps=steps, draws=1, rounds=rounds).score(service, HALVES[0][:2], noise())
    assert len(log) == rounds * steps - rounds * (rounds - 1) // 2
    starts = [i for i, (_, step, _) in enumerate(log) if step == 0]
    assert len(starts) == rounds
    assert all(log[i][0] == "a" for i in starts)
    levels = [t for _, _, t in log[:steps]]
    assert levels == [200 * (steps - i) // steps for i in range(steps)]
    assert [log[i][2] for i in starts] == levels[:rounds]
    assert all(log[i][2] == levels[-1] for i in [*(s - 1 for s in starts[1:]), -1])


def test_the_mean_of_many_draws_of_a_gaussian_shrinks_the_query_as_computed():
    # x0hat = sqrt(abar) x_t and E x_t = sqrt(abar) x: the mean picture is abar x.
    x = 0.4 * (2 * torch.rand(6, *SHAPE, generator=generator("x")) - 1)
    attack = Attack(t=100, steps=1, draws=200)
    score = attack.score(Service(oracles.Gaussian(SCHEDULE)), x, noise(6))
    abar = SCHEDULE.abar[100].double()
    left = (1 - abar) ** 2 * x.double().square().mean((1, 2, 3)) + abar * (1 - abar) / 200
    torch.testing.assert_close(score, -left.sqrt(), rtol=0.1, atol=0)


def test_a_service_answers_with_pictures_of_eight_bits_and_the_same_to_the_same():
    service = Service(oracles.Empirical(HALVES[0], SCHEDULE))
    one, two = (service.vary(HALVES[1][:4], [300, 100], noise(4)) for _ in "ab")
    assert torch.equal(one, two)
    levels = (one + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)
    assert one.abs().max() <= 1
    assert not torch.equal(one, service.vary(HALVES[1][:4], [300], noise(4)))
