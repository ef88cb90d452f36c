"""Attacks against closed forms and against a model that memorizes by construction."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from leakboard.attacks import classifier_confidence, loss, pia, secmi, secmi_nns, sima
from leakboard.diffusion import Recognizer, Schedule
from leakboard.oracles import Empirical, Gaussian, RandomLabelPosterior, draw
from leakboard.randomness import PerImage

SCHEDULE = Schedule.linear()
X = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))

ATTACKS = {
    "loss": loss.Attack(t=200, draws=4),
    "secmi": secmi.Attack(),
    "secmi-paper": secmi.Attack(variant="paper"),
    "secmi-one-step": secmi.Attack(variant="one-step"),
    "pia": pia.Attack(),
    "pian": pia.Attack(normalize="pian"),
    "pian-paper": pia.Attack(normalize="paper-equation"),
    "sima": sima.Attack(),
    "sima-squares": sima.Attack(t=50, p=2.0),
}


class Counting:
    """A predictor that counts its calls and remembers the levels."""

    def __init__(self, inner):
        self.inner, self.schedule, self.levels, self.steps = inner, inner.schedule, [], []

    def __call__(self, x, t, *, step):
        self.levels.append(int(t))
        self.steps.append(step)
        return self.inner(x, t, step=step)


def rng(n=6):
    return PerImage("test", indices=range(n))


def test_secmi_on_a_gaussian_is_the_published_constant_times_the_squared_norm():
    abar = SCHEDULE.abar.double()

    def f(s, t):
        return math.sqrt(abar[s] * abar[t]) + math.sqrt((1 - abar[s]) * (1 - abar[t]))

    x90 = X.double()
    for s in range(0, 90, 10):
        x90 = f(s, s + 10) * x90
    # In float64 throughout, as the constant was derived.
    double = Schedule(abar)
    err = -secmi.Attack(t=100, k=10).score(Gaussian(double), X.double(), rng())
    ratio = err / x90.square().flatten(1).sum(1)
    # The schedule's own float32 rounding moves the constant in its fifth digit.
    torch.testing.assert_close(ratio, torch.full((6,), 9.01806e-7).double(), rtol=2e-4, atol=0)


def test_secmi_evaluates_the_network_eleven_times_and_compares_at_level_90():
    counting = Counting(Gaussian(SCHEDULE))
    secmi.Attack(t=100, k=10).score(counting, X, rng())
    assert counting.levels == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert counting.steps == list(range(11))
    counting = Counting(Gaussian(SCHEDULE))
    secmi.Attack(t=100, k=10, variant="paper").score(counting, X, rng())
    assert counting.levels[-2:] == [100, 110]


def test_secmi_finds_no_error_in_a_constant_predictor():
    class Constant:
        schedule = SCHEDULE

        def __call__(self, x, t, *, step):
            return torch.full_like(x, 0.3)

    assert secmi.Attack().score(Constant(), X, rng()).abs().max() < 1e-9


def test_pia_on_a_gaussian_is_the_published_coefficient_to_the_fourth():
    score = pia.Attack(t=200, p=4).score(Gaussian(Schedule(SCHEDULE.abar.double())), X, rng())
    expected = 0.468363**4 * X.double().pow(4).flatten(1).sum(1)
    torch.testing.assert_close(-score, expected, rtol=1e-4, atol=0)


def test_sima_on_a_gaussian_is_the_published_constant_times_the_fourth_powers():
    counting = Counting(Gaussian(SCHEDULE))
    score = sima.Attack(t=100, p=4).score(counting, X, rng())
    expected = 0.0109953 * X.double().pow(4).flatten(1).sum(1)
    torch.testing.assert_close(-score, expected, rtol=1e-4, atol=0)
    assert (counting.levels, counting.steps) == ([100], [0])


def test_secmi_s_head_sees_the_error_whose_squares_its_statistic_adds_up():
    for variant in ("code", "paper", "one-step"):
        counting = Counting(Empirical(draw(10, seed=1), SCHEDULE))
        seen = secmi_nns.Attack(variant=variant).features(counting, X, rng())
        assert seen.shape == X.shape
        assert (seen >= 0).all()
        score = secmi.Attack(variant=variant).score(counting, X, rng())
        torch.testing.assert_close(-seen.double().square().flatten(1).sum(1), score)
        assert counting.levels[: len(counting.levels) // 2] * 2 == counting.levels


@pytest.mark.parametrize("attack", [{}, {"t": 100, "draws": 2}], ids=["clean", "noised"])
def test_a_classifier_of_coins_is_surer_of_its_members_and_only_of_its_own(attack):
    asking = classifier_confidence.Attack(**attack)
    members, coins = draw(50, seed=1), torch.arange(50) % 2

    def found(known):
        recognizer = Recognizer(RandomLabelPosterior(known, coins, SCHEDULE), SCHEDULE)
        scores = asking.score(recognizer, torch.cat([members, draw(200, seed=2)]), rng(250))
        assert len(scores.unique()) > 200  # probabilities would be 1 for most
        return roc_auc_score(torch.arange(250) < 50, scores)

    assert found(members) > 0.95
    assert abs(found(draw(50, seed=3)) - 0.5) < 0.18  # 4 standard errors


def test_pian_gives_the_noise_the_mean_absolute_value_of_a_normal():
    for scale in (1e-3, 1.0, 50.0):
        e0 = pia.Attack(normalize="pian").normalized(scale * X)
        torch.testing.assert_close(e0.abs().mean((1, 2, 3)), torch.full((6,), 0.797885))
    inverse = pia.Attack(normalize="paper-equation").normalized(X).abs().mean((1, 2, 3))
    torch.testing.assert_close(inverse, torch.full((6,), 1.253314))


def test_the_loss_of_a_gaussian_at_t_350_averages_to_abar_350():
    x = torch.randn(400, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    x = x / x.square().mean((1, 2, 3), keepdim=True).sqrt()  # ||x||^2 / d = 1
    score = loss.Attack(t=350, draws=4).score(Gaussian(SCHEDULE), x, rng(400))
    assert -score.mean().item() == pytest.approx(0.283183, rel=5e-3)


def test_the_loss_of_a_zero_predictor_is_one_per_pixel():
    class Zero:
        schedule = SCHEDULE

        def __call__(self, x, t, *, step):
            return torch.zeros_like(x)

    score = loss.Attack(t=350, draws=8).score(Zero(), X.repeat(20, 1, 1, 1), rng(120))
    assert -score.mean().item() == pytest.approx(1.0, abs=0.02)


def test_the_loss_visits_every_level_and_counts_its_calls():
    counting = Counting(Gaussian(SCHEDULE))
    loss.Attack(t=(100, 200), draws=3).score(counting, X, rng())
    assert counting.levels == [100] * 3 + [200] * 3
    assert counting.steps == list(range(6))


@pytest.mark.parametrize("name", ATTACKS)
def test_members_of_a_memorized_set_score_higher_than_strangers(name):
    members, strangers = draw(50, seed=1), draw(200, seed=2)
    images = torch.cat([members, strangers])
    scores = ATTACKS[name].score(Empirical(members, SCHEDULE), images, rng(250))
    assert roc_auc_score(torch.arange(250) < 50, scores) > 0.95


@pytest.mark.parametrize("name", ATTACKS)
def test_a_model_that_saw_neither_tells_nothing(name):
    images = draw(600, seed=3)
    model = Empirical(draw(50, seed=4), SCHEDULE)
    auc = roc_auc_score(torch.arange(600) < 300, ATTACKS[name].score(model, images, rng(600)))
    assert abs(auc - 0.5) < 0.09  # 4 standard errors


def test_the_last_stride_of_secmi_ends_at_its_level_whatever_the_stride():
    counting = Counting(Gaussian(SCHEDULE))
    secmi.Attack(t=105, k=10).score(counting, X, rng())
    assert counting.levels == [*range(0, 100, 10), 95, 105]
    counting = Counting(Gaussian(SCHEDULE))
    secmi.Attack(t=5, k=10).score(counting, X, rng())
    assert counting.levels == [0, 5]
