"""CPSample against truth: the exact denoiser and random-label posterior of a finite set."""

import pytest
import torch

from leakboard.defenses.cpsample import Defense
from leakboard.diffusion import Parts, Schedule, sample
from leakboard.lessons import Batch
from leakboard.oracles import Empirical, RandomLabelPosterior, draw
from leakboard.randomness import PerImage
from leakboard.trainers.random_labels import Trainer

SCHEDULE = Schedule.linear()
MEMBERS = draw(40, seed=1)
LABELS = Trainer().labels(torch.arange(40))


def parts(images=MEMBERS, labels=LABELS) -> Parts:
    classifier = RandomLabelPosterior(images, labels, SCHEDULE)
    return Parts([Empirical(images, SCHEDULE)], classifier, images)


def noised(t: int, n: int = 40, seed: int = 0) -> torch.Tensor:
    eps = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return SCHEDULE.noised(MEMBERS[:n], eps, torch.tensor(t))


@pytest.mark.parametrize("t", [0, 20, 300, 980])
def test_at_zero_strength_nothing_changes_to_the_bit(t):
    x, level = noised(t), torch.tensor(t)
    plain = parts().denoisers[0](x, level, step=0)
    for weak in (Defense(alpha=0.5, scale=0.0), Defense(alpha=1e-300, scale=5.0)):
        assert torch.equal(weak.guard(parts())(x, level, step=0), plain)


def test_alpha_of_one_half_opens_the_gate_for_every_sample_at_every_step():
    calls = []

    class Counting(Defense):
        def gradient(self, classifier, x, t):
            calls.append(len(x))
            return super().gradient(classifier, x, t)

    predictor = Counting(alpha=0.5, scale=0.01).guard(parts())
    sample(predictor, PerImage("a", indices=range(6)), (1, 8, 8), steps=10)
    assert calls == [6] * 10


def test_the_backward_pass_sees_only_the_samples_whose_gate_is_open():
    seen = []

    class Watching(Defense):
        def gradient(self, classifier, x, t):
            seen.append(x)
            return super().gradient(classifier, x, t)

    x = torch.cat([noised(10, 3), torch.zeros(5, 1, 8, 8)])
    strangers = parts().classifier(x, torch.tensor(990)).sigmoid()[:, 0]  # all unsure this high
    assert ((strangers > 0.25) & (strangers < 0.75)).all()
    predictor = Watching(alpha=0.25, scale=1.0).guard(parts())
    out = predictor(x, torch.tensor(10), step=0)
    p = parts().classifier(x, torch.tensor(10)).sigmoid()[:, 0]
    gate = (p > 0.75) | (p < 0.25)
    assert torch.equal(seen[0], x[gate])
    plain = parts().denoisers[0](x, torch.tensor(10), step=0)
    assert torch.equal(out[~gate], plain[~gate])
    predictor(x, torch.tensor(990), step=0)
    assert len(seen) == 1  # nothing was open


def test_the_push_lowers_the_confidence_in_the_recognized_label():
    t = torch.tensor(250)
    x = noised(250)
    predictor = Defense(alpha=0.5, scale=1.0).guard(parts())
    plain = parts().denoisers[0](x, t, step=0)
    shift = predictor(x, t, step=0) - plain
    z = parts().classifier(x, t)[:, 0]
    # A sampler moves against eps: look at the classifier a small way along that direction.
    moved = x - 0.02 * shift / shift.flatten(1).norm(dim=1).clamp_min(1e-9)[:, None, None, None]
    after = parts().classifier(moved, t)[:, 0]
    pushed = shift.flatten(1).norm(dim=1) > 1e-6
    assert pushed.sum() > 10
    assert ((after - z) * z.sign())[pushed].le(0).float().mean() > 0.95


def test_the_push_is_the_gradient_times_the_noise_level():
    x = torch.full((1, 1, 1, 1), 0.3)

    class Linear:  # z = 3 x, so grad log(1 - p) = -3 p
        def __call__(self, x, t):
            return 3 * x.flatten(1)

    class Zero:
        schedule = SCHEDULE

        def __call__(self, x, t, *, step):
            return torch.zeros_like(x)

    for t, root in ((300, 0.778), (500, 0.960), (700, 0.9966)):  # sqrt(1 - abar_t), not alpha_t
        out = Defense(alpha=0.5, scale=2.0).guard(Parts([Zero()], Linear()))
        p = torch.sigmoid(torch.tensor(0.9)).item()
        expected = 2.0 * root * 3 * p
        assert out(x, torch.tensor(t), step=0).item() == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize(
    ("stabilizer", "factors"),
    [
        ("logit", {1e-1: 0.900, 1e-2: 0.990, 1e-3: 0.999, 1e-4: 1.000, 1e-6: 1.000}),
        ("additive-eps", {1e-1: 0.891, 1e-2: 0.900, 1e-3: 0.4995, 1e-4: 0.091, 1e-6: 0.001}),
        ("clamp", {1e-1: 0.900, 1e-2: 0.990, 1e-4: 0.0, 1e-6: 0.0}),
    ],
)
def test_each_stabilizer_keeps_the_share_of_the_gradient_that_it_should(stabilizer, factors):
    defense = Defense(stabilizer=stabilizer)
    for q, factor in factors.items():
        logit = torch.tensor([q]).double().logit().float().requires_grad_()
        (gradient,) = torch.autograd.grad(defense.log_probability(logit).sum(), logit)
        assert gradient.item() == pytest.approx(factor, abs=2e-3)


def test_the_exact_posterior_knows_members_and_nothing_at_the_highest_noise():
    classifier = parts().classifier
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    low = loss(classifier(noised(50), torch.tensor(50))[:, 0], LABELS)
    high = loss(classifier(noised(999), torch.tensor(999))[:, 0], LABELS)
    assert low < 0.02
    assert high == pytest.approx(0.6931, abs=0.02)


def twins(duplicates: str, copies: int = 2, others: int = 10) -> Parts:
    """Oracles of a training set that shows its first image several times; coins by the trainer."""
    index = torch.tensor([0] * copies + list(range(1, 1 + others)))
    copy = torch.tensor([*range(copies), *([0] * others)])
    return parts(MEMBERS[index], Trainer(duplicates=duplicates).labels(index, copy))


def test_the_copies_of_an_image_share_its_coin_or_take_turns_between_both_labels():
    index, copy = torch.tensor([7, 3, 7, 7, 3]), torch.tensor([0, 0, 1, 2, 1])
    coins = Trainer().labels(torch.arange(10))
    assert torch.equal(Trainer().labels(index, copy), coins[index])
    opposite = Trainer(duplicates="opposite").labels(index, copy)
    assert torch.equal(opposite, (coins[index] + torch.tensor([0, 0, 1, 0, 1])) % 2)
    assert torch.equal(Trainer(duplicates="opposite").labels(index), coins[index])


def test_a_batch_s_copies_reach_the_loss():
    seen = {}
    index, copy = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])

    class Sure:  # as sure as can be of the labels that a trainer without copies would give
        def __call__(self, x, t):
            return 20 * (2 * Trainer().labels(index) - 1)[:, None]

    batch = Batch(MEMBERS[index], torch.zeros(3).long(), index, SCHEDULE, None, copy)
    for name in ("grouped", "opposite"):
        rng = torch.Generator().manual_seed(0)
        seen[name] = Trainer(duplicates=name).loss(Sure(), batch, rng).item()
    assert seen["grouped"] < 1e-6
    assert seen["opposite"] == pytest.approx(20 / 3, rel=1e-3)  # one of three labels is turned


@pytest.mark.parametrize("copies", [2, 10])
def test_copies_with_opposite_coins_cancel_to_one_half_exactly_and_are_left_alone(copies):
    only, among = twins("opposite", copies, others=0), twins("opposite", copies)
    for t in (0, 20, 100, 300):
        x, level = noised(t, 1), torch.tensor(t)
        assert only.classifier(x, level).sigmoid().item() == 0.5
        assert Defense().gradient(only.classifier, x, level).abs().max() < 1e-6
    for t in (0, 20):  # nothing else is near, so other members do not matter
        x, level = noised(t, 1), torch.tensor(t)
        assert among.classifier(x, level).sigmoid().item() == pytest.approx(0.5, abs=1e-6)
        plain = among.denoisers[0](x, level, step=0)
        guarded = Defense(alpha=0.25, scale=100.0).guard(among)
        assert torch.equal(guarded(x, level, step=0), plain)


@pytest.mark.parametrize("copies", [2, 10])
def test_grouped_copies_are_recognized_and_pushed_away(copies):
    oracle = twins("grouped", copies)
    coin = Trainer().labels(torch.tensor([0])).item()
    for t in (0, 20):
        x, level = noised(t, 1), torch.tensor(t)
        p = oracle.classifier(x, level).sigmoid().item()
        assert (p if coin else 1 - p) > 0.999
    x, level = noised(250, 1), torch.tensor(250)
    p = oracle.classifier(x, level).sigmoid().item()
    assert (p if coin else 1 - p) > 0.999
    plain = oracle.denoisers[0](x, level, step=0)
    guarded = Defense(alpha=0.25, scale=100.0).guard(oracle)
    assert not torch.equal(guarded(x, level, step=0), plain)


def test_an_odd_number_of_opposite_copies_leaves_the_odd_one_s_label():
    coin = Trainer().labels(torch.tensor([0])).item()
    p = twins("opposite", 3).classifier(noised(20, 1), torch.tensor(20)).sigmoid().item()
    assert p == pytest.approx((2 if coin else 1) / 3, abs=1e-6)


def test_coins_are_fair_and_belong_to_the_image_not_to_its_place():
    coins = Trainer().labels(torch.arange(2000))
    assert 0.46 < coins.mean() < 0.54
    assert torch.equal(Trainer().labels(torch.tensor([7, 3])), coins[[7, 3]])
    assert not torch.equal(Trainer(labels_seed=1).labels(torch.arange(2000)), coins)


def test_the_exact_denoiser_draws_copies_and_the_strong_push_draws_fewer():
    draws = {}
    for scale in (0.0, 4.0):
        predictor = Defense(alpha=0.25, scale=scale).guard(parts())
        drawn = sample(predictor, PerImage("b", indices=range(100)), (1, 8, 8), steps=50)
        distance = torch.cdist(drawn.flatten(1), MEMBERS.flatten(1)).min(1).values
        draws[scale] = (distance < 0.5).float().mean()
    assert draws[0.0] > 0.95
    assert draws[4.0] < 0.2
