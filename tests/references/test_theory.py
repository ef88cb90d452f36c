"""The theory's metric against closed forms of normal distributions, and where it misleads."""

import numpy as np
import pytest
from scipy.stats import binom, multivariate_normal

from leakboard.measures import theory

ENTROPIES = ["gaussian", "nearest-neighbor"]


def normal(n, d=4, seed=0):
    """n pictures of a known normal distribution: (pictures, mean, covariance)."""
    rng = np.random.default_rng(0)
    mu, A = rng.normal(size=d), rng.normal(size=(d, d)) / 2 + np.eye(d)
    return np.random.default_rng(seed).multivariate_normal(mu, A @ A.T, n), mu, A @ A.T


def divergence(mu, sigma, members, eps):
    """The mean over members of KL(N(mu, sigma) || N(x_i, eps I)): SIDE, equation 35."""
    d = len(mu)
    gaps = ((members - mu) ** 2).sum(1).mean()
    return 0.5 * ((gaps + np.trace(sigma)) / eps - np.linalg.slogdet(sigma / eps)[1] - d)


def metric(pictures, members, epsilon=0.1, **more):
    (found,) = theory.memorization(pictures, members, extractor="pixels", epsilon=epsilon, **more)
    return found


def ratios(pictures, asked, plain, members, labels, epsilons=(), **more):
    rng = np.random.default_rng(0)
    more = {"extractor": "pixels", "epsilons": epsilons, "resamples": 500, **more}
    found = theory.conditional_ratio(pictures, asked, plain, members, labels, rng, **more)
    return {m.metric.split("@")[1].split(":")[0]: m for m in found}


def test_the_distance_to_all_members_is_that_of_brute_force():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(30, 3))
    brute = ((x[:, None] - y[None]) ** 2).sum(-1).mean(1)
    np.testing.assert_allclose(theory.squared_distances(x, y), brute)


@pytest.mark.parametrize("entropy", ENTROPIES)
def test_the_entropy_of_normal_pictures_is_the_closed_form(entropy):
    x, mu, sigma = normal(3000)
    truth = multivariate_normal(mu, sigma).entropy()
    assert theory.surprises(x, entropy).mean() == pytest.approx(truth, abs=0.08)


def test_the_gaussian_entropy_is_that_of_the_shrunk_covariance():
    from sklearn.covariance import LedoitWolf

    rng = np.random.default_rng(0)
    for n, d in ((40, 5), (12, 30)):  # more pictures than dimensions, and fewer
        x = rng.normal(size=(n, d)) * np.linspace(0.1, 2, d)
        fit = LedoitWolf().fit(x)
        own = theory.surprises(x)
        logdet = np.linalg.slogdet(2 * np.pi * np.e * fit.covariance_)[1]
        assert own.mean() == pytest.approx(logdet / 2)
        np.testing.assert_allclose(own - own.mean(), (m := fit.mahalanobis(x) / 2) - m.mean())


def test_the_nearest_neighbor_entropy_needs_no_normal_pictures():
    x = np.random.default_rng(0).uniform(0, 3, size=(4000, 2))
    uniform = theory.surprises(x, "nearest-neighbor").mean()
    assert uniform == pytest.approx(2 * np.log(3), abs=0.05)
    assert theory.surprises(x, "gaussian").mean() > uniform + 0.2


@pytest.mark.parametrize("entropy", ENTROPIES)
@pytest.mark.parametrize("eps", [0.01, 1.0])
def test_the_metric_of_normal_pictures_is_the_closed_form(entropy, eps):
    x, mu, sigma = normal(3000)
    members = normal(50, seed=1)[0]
    found = metric(x, members, eps, entropy=entropy)
    truth = divergence(mu, sigma, members, eps)
    assert found.value == pytest.approx(truth, rel=0.05)
    assert found.ci_low < truth < found.ci_high
    assert (found.unit, found.better, found.n) == ("nats per member", "higher", 3000)
    assert found.note == f"epsilon = {eps:g}, {entropy} entropy, d = 4, n = 3000, m = 50"


@pytest.mark.parametrize("entropy", ENTROPIES)
def test_the_interval_of_the_metric_covers_it(entropy):
    members, runs = normal(20, seed=1)[0], 100
    covered = 0
    for seed in range(runs):
        x, mu, sigma = normal(300, seed=seed + 10)
        found = metric(x, members, entropy=entropy)
        covered += found.ci_low <= divergence(mu, sigma, members, 0.1) <= found.ci_high
    assert covered >= binom.ppf(0.001, runs, 0.95)


def test_the_metric_does_not_grow_with_the_set():
    x, members = normal(200)[0], normal(50, seed=1)[0]
    assert metric(x, np.tile(members, (3, 1))).value == pytest.approx(metric(x, members).value)


def test_pictures_around_the_only_member_are_all_memorized():
    # p = N(x_1, eps I) is what the metric compares with: 0, its least.
    rng, member = np.random.default_rng(0), np.full((1, 3), 0.5)
    at = member + np.sqrt(0.01) * rng.normal(size=(3000, 3))
    assert metric(at, member, 0.01).value == pytest.approx(0, abs=0.01)
    assert metric(at + 0.1, member, 0.01).value == pytest.approx(1.5, abs=0.1)
    assert theory.squared_distances(at, member).mean() == pytest.approx(0.03, rel=0.05)


def test_what_is_equal_everywhere_does_not_count():
    x, members = normal(100)[0], normal(20, seed=1)[0]
    with_edge = [np.hstack([a, np.full((len(a), 2), -1.0)]) for a in (x, members)]
    for entropy in ENTROPIES:
        assert (
            metric(*with_edge, entropy=entropy).value == metric(x, members, entropy=entropy).value
        )


@pytest.mark.parametrize("entropy", ENTROPIES)
def test_identical_pictures_have_no_density(entropy):
    found = metric(np.ones((10, 2)), np.zeros((3, 2)), entropy=entropy)
    assert np.isnan(found.value)
    assert found.status == "unresolved"
    assert "no density" in found.note


@pytest.mark.parametrize(
    ("pictures", "members", "more", "words"),
    [
        (np.ones((3, 2)), np.zeros((3, 1)), {}, "of one d"),
        (np.ones((3, 2)), np.zeros((0, 2)), {}, "not none"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), {}, "NaN"),
        (np.ones((3, 2)), np.ones((3, 2)), {}, "one and the same"),
        (np.ones((3, 2)), np.zeros((3, 2)), {"epsilon": 0.0}, "above 0"),
        (np.ones((3, 2)), np.zeros((3, 2)), {"entropy": "exact"}, "an entropy is"),
        (np.ones((3, 2)), np.zeros((3, 2)), {"entropy": ENTROPIES[1], "k": 3}, "no 3-th"),
        (np.ones((1, 2)), np.zeros((3, 2)), {}, "single picture"),
    ],
)
def test_features_that_do_not_fit_are_refused(pictures, members, more, words):
    with pytest.raises(ValueError, match=words):
        metric(pictures, members, **more)


# --- Theorem 1 -----------------------------------------------------------------------------------


def two_classes(gap, n=1500, m=200, seed=0):
    """Pictures of two normal classes, drawn by class and plainly, and as many members of each."""
    rng = np.random.default_rng(seed)

    def draw(size):
        label = np.arange(size) % 2
        return rng.normal(size=(size, 3)) + gap * label[:, None], label

    (pictures, asked), (plain, _), (members, labels) = draw(n), draw(n), draw(m)
    return pictures, asked, plain, members, labels


@pytest.mark.parametrize("gap", [1.0, 5.0])
def test_the_limit_of_two_classes_is_the_closed_form_and_below_one(gap):
    pictures, asked, plain, members, labels = two_classes(gap)
    found = ratios(pictures, asked, plain, members, labels)["0"]

    def apart(a, b):  # E ||x - x_i||^2 of N(a, I) in 3 dimensions
        return 3 + ((members[labels == b] - gap * a) ** 2).sum(1).mean()

    same = apart(0, 0) + apart(1, 1)
    truth = same / (0.5 * (same + apart(0, 1) + apart(1, 0)))
    assert found.ci_low < truth < found.ci_high < 1
    assert found.value == pytest.approx(truth, rel=0.05)
    assert (found.metric, found.better, found.unit) == (
        "conditional_kl_ratio@0:pixels",
        "",
        "ratio",
    )


@pytest.mark.parametrize("entropy", ENTROPIES)
def test_the_ratio_at_an_epsilon_nears_its_limit(entropy):
    found = ratios(*two_classes(3.0), epsilons=(1e-6, 0.01, 1.0), entropy=entropy)
    assert found["1e-06"].value == pytest.approx(found["0"].value, rel=1e-3)
    assert abs(found["0.01"].value - found["0"].value) < 0.05
    assert all(m.ci_low < m.value < m.ci_high < 1 for m in found.values())


def test_the_ratio_of_normal_classes_is_that_of_equation_47():
    pictures, asked, _, members, labels = two_classes(2.0, n=4000)
    rng, mu, sigma = np.random.default_rng(1), np.ones(3), np.eye(3) + np.ones((3, 3))
    plain = rng.multivariate_normal(mu, sigma, 4000)
    above = sum(
        divergence(np.full(3, 2.0 * c), np.eye(3), members[labels == c], 0.5) for c in (0, 1)
    )
    truth = above / 2 / divergence(mu, sigma, members, 0.5)
    found = ratios(pictures, asked, plain, members, labels, (0.5,))["0.5"]
    assert found.value == pytest.approx(truth, rel=0.03)
    assert found.ci_low < truth < found.ci_high


@pytest.mark.parametrize("kinds", [1, 4])
def test_labels_that_say_nothing_leave_the_ratio_at_one(kinds):
    # One class is not informative, and labels at random are not to a model that ignores them.
    rng, runs, covered = np.random.default_rng(0), 60, 0
    for _ in range(runs):
        x, plain, members = (rng.normal(size=(n, 2)) for n in (200, 200, 80))
        asked, labels = rng.integers(kinds, size=200), rng.integers(kinds, size=80)
        found = ratios(x, asked, plain, members, labels, resamples=200)["0"]
        covered += found.ci_low <= 1 <= found.ci_high
    assert covered >= binom.ppf(0.001, runs, 0.95)


def test_the_limit_calls_averages_more_memorized_than_copies():
    """What the docstring warns of: pictures that copy nobody score half of faithful copies."""
    rng = np.random.default_rng(0)
    members, labels = rng.normal(size=(50, 4)), np.arange(50) % 2
    plain, asked = rng.normal(size=(1000, 4)), np.arange(1000) % 2
    averages = np.stack([members[labels == c].mean(0) for c in (0, 1)])[asked]
    copies = np.concatenate([members] * 20)  # each as often as the others, and of the class asked
    average, copy = (ratios(x, asked, plain, members, labels)["0"] for x in (averages, copies))
    assert average.value == pytest.approx(copy.value / 2)
    # Identical pictures have no entropy: at any epsilon the metric cannot be told.
    at = ratios(averages, asked, plain, members, labels, (0.1,))["0.1"]
    assert at.status == "unresolved"


def test_members_of_classes_that_nobody_asked_for_do_not_count():
    pictures, asked, plain, members, labels = two_classes(2.0, n=200)
    one = asked == 0
    found = ratios(pictures[one], asked[one], plain, members, labels)["0"]
    only = labels == 0
    alone = ratios(pictures[one], asked[one], plain, members[only], labels[only])["0"]
    assert found.value == alone.value
    assert found.note == "1 classes asked for, 100 of 200 members"


def test_classes_that_do_not_fit_are_refused():
    pictures, asked, plain, members, labels = two_classes(1.0, n=20, m=10)
    with pytest.raises(ValueError, match=r"classes without members: \[2, 3\]"):
        ratios(pictures, asked + 2, plain, members, labels)
    with pytest.raises(ValueError, match=r"20 pictures asked for \(19,\)"):
        ratios(pictures, asked[1:], plain, members, labels)
    with pytest.raises(ValueError, match="above 0"):
        ratios(pictures, asked, plain, members, labels, (0.1, 0.0))
