"""SIDE against exact models: what it steers to, what it finds, and what its student learns."""

import numpy as np
import pytest
import torch

from leakboard import networks, oracles
from leakboard.attacks.side import Attack
from leakboard.defenses import cpsample
from leakboard.diffusion import Parts, Schedule, sample
from leakboard.images import to_float
from leakboard.labels import relabeled
from leakboard.lessons import Batch
from leakboard.measures import extraction
from leakboard.neighbors import nearest
from leakboard.randomness import PerImage, generator
from leakboard.sampling import Extraction, draw
from leakboard.timed_encoder import TimedEncoder
from leakboard.trainers.tdkd import Trainer

SCHEDULE = Schedule.linear()
DOUBLE = Schedule(SCHEDULE.abar.double())
MEMBERS, STRANGERS = oracles.draw(40, seed=1), oracles.draw(40, seed=2)
LABELS = torch.arange(40) % 4
POSTERIOR = oracles.ClassPosterior(MEMBERS, LABELS, SCHEDULE)
ARCHITECTURE = {"width": 8, "dim": 16}


def drawn(predictor, n=48):
    return sample(predictor, PerImage("sample", indices=range(n)), (1, 8, 8), steps=20)


def similar(pictures, images=MEMBERS):
    """The table that the measures read, in pixels."""
    found = nearest(pictures.flatten(1).numpy(), images.flatten(1).numpy(), 1)
    near = 1 - found.distance[:, 0] / 16  # RMS of 64 pixels in [-1, 1], as a share of the range
    return {"similarity": near, "neighbor": found.index[:, 0]}


class Halves:
    """x_0 ~ 1/2 N(-1, s^2) + 1/2 N(1, s^2) in one dimension: its exact predictor and classifier."""

    def __init__(self, schedule, s=0.3, weights=(0.5, 0.5)):
        self.schedule, self.s, self.weights = schedule, s, weights

    def logits(self, x, t):
        abar = self.schedule.at(t, x)
        spread = abar * self.s**2 + 1 - abar
        centers = torch.tensor([-1.0, 1.0], dtype=x.dtype)
        gap = x.reshape(-1, 1) - abar.reshape(-1, 1).sqrt() * centers
        prior = torch.tensor(self.weights, dtype=x.dtype).log()
        return prior - gap.square() / (2 * spread.reshape(-1, 1))

    def __call__(self, x, t, *, step=0):
        abar = self.schedule.at(t, x)
        spread = abar * self.s**2 + 1 - abar
        share = self.logits(x, t).softmax(1)
        mean = (share[:, 1] - share[:, 0]).reshape(x.shape) * abar.sqrt()
        return (1 - abar).sqrt() * (x - mean) / spread


class Exact:
    """A target whose predictor is an exact one, which knows no classes."""

    screen, shape = None, (1, 8, 8)

    def __init__(self, model):
        self.model = model

    def predictor(self, classes=None):
        return self.model

    def asked(self, numbers):
        return torch.full((len(list(numbers)),), -1)


@pytest.mark.parametrize("c", [0, 1])
def test_with_lambda_one_and_an_exact_classifier_the_guided_model_is_the_conditional_one(c):
    # Bayes: the score of p(x | c) is that of p(x) plus the gradient of log p(c | x).
    whole, x = Halves(DOUBLE), torch.linspace(-2, 2, 9, dtype=torch.float64).reshape(-1, 1, 1, 1)
    alone = Halves(DOUBLE, weights=(1 - c + 1e-300, c + 1e-300))
    guided = Attack(lambda_=1.0).guide(whole, whole.logits, torch.full((9,), c))
    for level in (0, 5, 50, 300, 999):
        t = torch.tensor(level)
        expected = alone(x, t)
        torch.testing.assert_close(guided(x, t, step=0), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("level", [3, 30, 200, 600])
def test_of_a_finite_set_too(level):
    x = SCHEDULE.noised(MEMBERS[:8], drawn(oracles.Gaussian(SCHEDULE), 8), torch.tensor(level))
    guide = oracles.ClassPosterior(MEMBERS.double(), LABELS, DOUBLE)
    classes = torch.arange(8) % 4
    guided = Attack(lambda_=1.0).guide(oracles.Empirical(MEMBERS.double(), DOUBLE), guide, classes)
    eps = guided(x.double(), torch.tensor(level), step=0)
    for i, c in enumerate(classes):
        own = oracles.Empirical(MEMBERS[c == LABELS].double(), DOUBLE)
        expected = own(x[i : i + 1].double(), torch.tensor(level))
        torch.testing.assert_close(eps[i : i + 1], expected, rtol=1e-6, atol=1e-6)


def test_side_goes_to_the_class_and_cpsample_away_from_the_one_it_sees():
    toy = Halves(SCHEDULE)
    noise = PerImage("toy", indices=range(400))

    def mean(predictor):
        return sample(predictor, noise, (1, 1, 1), steps=50).flatten()

    plain = sample(toy, PerImage("toy", indices=range(400)), (1, 1, 1), steps=50).flatten()
    assert abs(plain.mean()) < 0.2
    for c, side in ((0, -1), (1, 1)):
        noise = PerImage("toy", indices=range(400))
        steered = mean(Attack(lambda_=2.0).guide(toy, toy.logits, torch.full((400,), c)))
        assert (steered.sign() == side).float().mean() > 0.97
        noise = PerImage("toy", indices=range(400))
        wrong = mean(
            Attack(lambda_=2.0).guide(toy, lambda x, t: -toy.logits(x, t), torch.full((400,), c))
        )
        assert (wrong.sign() == side).float().mean() < 0.03  # the other sign goes the other way
    # CPSample at x on the right of 0, which it takes for label 1, pushes to the left.
    x, t = torch.full((1, 1, 1, 1), 0.4), torch.tensor(100)
    coin = Parts([toy], classifier=lambda x, t: toy.logits(x, t).diff(dim=1))
    pushed = cpsample.Defense(alpha=0.5, scale=1.0).guard(coin)(x, t, step=0)
    led = Attack(lambda_=1.0).guide(toy, toy.logits, torch.ones(1, dtype=torch.long))(x, t, step=0)
    own = toy(x, t)
    clean = [float(SCHEDULE.clean(x, eps, t)) for eps in (pushed, own, led)]
    assert clean[0] < clean[1] < clean[2]


def test_lambda_zero_is_the_plain_model_bit_for_bit_and_any_other_is_not():
    model = oracles.Empirical(MEMBERS, SCHEDULE)
    spec = {
        "track": "t",
        "seed": 0,
        "sampling": {"sampler": "ddim", "steps": 5, "batch_size": 8, "clip_sample": False},
    }
    target = Exact(model)
    plain = draw(target, spec, 0, 20)["images"]
    same = draw(target, spec, 0, 20, Extraction(Attack(lambda_=0.0), POSTERIOR, 4))["images"]
    np.testing.assert_array_equal(plain, same)
    other = draw(target, spec, 0, 20, Extraction(Attack(lambda_=4.0), POSTERIOR, 4))["images"]
    assert (plain != other).any()
    # pictures take the classes in turn, whatever shard and batch they are drawn in
    parts = [
        draw(target, spec, a, b, Extraction(Attack(lambda_=4.0), POSTERIOR, 4))
        for a, b in ((0, 8), (8, 20))
    ]
    np.testing.assert_array_equal(other, np.concatenate([p["images"] for p in parts]))
    near = similar(to_float(other))["neighbor"]
    assert (LABELS[near] == torch.arange(20) % 4).float().mean() > 0.9


def test_of_a_model_that_memorized_the_members_side_finds_them_and_of_strangers_none():
    classes = torch.arange(48) % 4
    background = similar(STRANGERS)["similarity"]
    how = {"members": 40, "extractor": "pixels", "calibration": 0.001}

    def rates(model):
        table = similar(drawn(Attack(lambda_=3.0).guide(model, POSTERIOR, classes)))
        rows = extraction.extraction(table, background, **how)
        return table, {row.metric: row for row in rows}

    table, found = rates(oracles.Empirical(MEMBERS, SCHEDULE))
    assert found["ams:copy:pixels"].value > 0.95
    assert found["ums:copy:pixels"].value * 48 > 20  # of 40 members
    assert (LABELS[table["neighbor"]] == classes).float().mean() > 0.95
    _, none = rates(oracles.Empirical(STRANGERS, SCHEDULE))
    assert none["ams:copy:pixels"].value == none["ums:copy:pixels"].value == 0
    assert 0 < none["ams:copy:pixels"].ci_high < 0.1


def test_steering_by_members_finds_more_of_them_than_drawing_plainly():
    # A model that draws one member nine times out of ten, as overfitted models do.
    often = torch.cat([MEMBERS[:1].repeat(360, 1, 1, 1), MEMBERS[1:]])
    model = oracles.Empirical(often, SCHEDULE)
    each = oracles.ClassPosterior(MEMBERS, torch.arange(40), SCHEDULE)
    plain = similar(drawn(model))["neighbor"]
    steered = similar(drawn(Attack(lambda_=1.0).guide(model, each, torch.arange(48) % 40)))
    assert len(set(plain)) < 12
    assert len(set(steered["neighbor"])) > 30


def teacher(outputs=4):
    torch.manual_seed(0)
    return networks.build("encoder", ARCHITECTURE, 8, 1, outputs=outputs).eval()


def test_a_student_is_its_teacher_with_one_time_module_in_each_block():
    known, student = teacher(), networks.student(teacher())
    own, theirs = student.state_dict(), known.state_dict()
    assert theirs.keys() < own.keys()
    assert all(own[key].shape == theirs[key].shape for key in theirs)
    assert len(student.time_modules) == len(student.blocks)
    x = MEMBERS[:6]
    early, late = student(x, torch.tensor(0)), student(x, torch.tensor(900))
    assert early.shape == (6, 4)
    assert (early - late).abs().max() > 1e-4
    # Modules that say nothing leave the teacher.
    student.load_state_dict({**own, **theirs})
    for module in student.time_modules:
        torch.nn.init.zeros_(module.weight)
        torch.nn.init.zeros_(module.bias)
    assert torch.equal(student(x, torch.tensor(900)), known.logits(x))


def test_the_time_module_comes_right_after_the_first_normalization():
    student, seen = networks.student(teacher()), {}
    block, module = student.blocks[1], student.time_modules[1]
    block.norm1.register_forward_hook(lambda m, i, out: seen.__setitem__("normed", out))
    module.register_forward_hook(lambda m, i, out: seen.__setitem__("shift", out))
    block.conv1.register_forward_pre_hook(lambda m, i: seen.__setitem__("in", i[0]))
    student(MEMBERS[:3], torch.tensor([5, 50, 500]))
    expected = torch.nn.functional.silu(seen["normed"] + seen["shift"][:, :, None, None])
    torch.testing.assert_close(seen["in"], expected)


def test_a_student_learns_what_its_teacher_says_of_noised_pictures():
    known, student = teacher(), networks.student(teacher())
    known.requires_grad_(False)
    known.head.weight *= 6  # a teacher with opinions
    before = {key: value.clone() for key, value in known.state_dict().items()}
    batch = Batch(MEMBERS, LABELS, torch.arange(40), SCHEDULE, known)

    def divergence(level):
        p, q = (f.log_softmax(1) for f in (known.logits(MEMBERS), student(MEMBERS, level)))
        return float((p.exp() * (p - q)).sum(1).mean().detach())

    clean = torch.tensor(5)
    at_first, trainer = divergence(clean), Trainer()
    optimizer = torch.optim.AdamW(student.parameters(), 3e-3)
    for step in range(150):
        trainer.loss(student, batch, generator("tdkd", step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert divergence(clean) < 0.2 * at_first
    agree = student(MEMBERS, clean).argmax(1) == known.logits(MEMBERS).argmax(1)
    assert agree.float().mean() > 0.9
    # Of pure noise it has no opinion: all images look the same to it.
    noise = drawn(oracles.Gaussian(SCHEDULE), 40)
    vague, sure = (student(noise, torch.tensor(t)).softmax(1).var(0).sum() for t in (990, 5))
    assert vague < 0.5 * sure
    assert all(torch.equal(before[key], value) for key, value in known.state_dict().items())


def test_the_loss_is_the_divergence_from_the_teacher_and_never_looks_at_labels():
    known, student = teacher(), networks.student(teacher())
    batch = Batch(MEMBERS, LABELS, torch.arange(40), SCHEDULE, known)
    loss = Trainer().loss(student, batch, generator("x"))
    x, t, _ = batch.noised(generator("x"))
    p, q = known.logits(MEMBERS).softmax(1), student(x, t).softmax(1)
    expected = (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(loss, expected)
    flipped = Batch(MEMBERS, 3 - LABELS, torch.arange(40), SCHEDULE, known)
    assert torch.equal(Trainer().loss(student, flipped, generator("x")), loss)


def test_labels_are_clusters_numbers_or_dice():
    index = np.arange(100, 140)
    images = relabeled(index, "image", None, None, "n")
    assert images["label"].tolist() == list(range(40))
    assert images["index"].tolist() == index.tolist()
    dice = relabeled(index, "chance", 4, None, "n")["label"]
    assert set(dice) == {0, 1, 2, 3}
    # An image's dice do not depend on which other images there are.
    assert relabeled(index[7:9], "chance", 4, None, "n")["label"].tolist() == dice[7:9].tolist()
    features = np.repeat(np.eye(3) * 10, [10, 10, 20], axis=0)
    features += np.random.default_rng(0).normal(size=features.shape)
    groups = relabeled(index, "cluster", 3, features, "n")["label"].to_numpy()
    assert [len(set(groups[some])) for some in (slice(10), slice(10, 20), slice(20, 40))] == [1] * 3
    assert len(set(groups)) == 3


def test_a_time_independent_classifier_is_asked_the_same_at_every_level():
    known = teacher()
    attack = Extraction(Attack(lambda_=1.0), lambda x, t: known.logits(x), 4)
    model = oracles.Gaussian(SCHEDULE)
    x = MEMBERS[:4]
    steered = attack.steered(model, torch.arange(4))
    pushes = []
    for level in (10, 700):
        t = torch.tensor(level)
        push = (steered(x, t, step=0) - model(x, t)) / (1 - SCHEDULE.at(t, x)).sqrt()
        pushes.append(push)
    torch.testing.assert_close(pushes[0], pushes[1], rtol=1e-3, atol=1e-5)
    assert isinstance(networks.student(known), TimedEncoder)
