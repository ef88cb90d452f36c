"""Statistical tests against formulas written out, enumeration, and simulated null hypotheses."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from scipy import stats

from leakboard.measures.tests import fisher, logrank, mcnemar, permutation_test, z_test


def with_moments(n, mean, sd, seed=0):
    """n numbers with exactly this mean and this standard deviation (n - 1)."""
    x = np.random.default_rng(seed).normal(size=n)
    return mean + sd * (x - x.mean()) / x.std(ddof=1)


@pytest.mark.parametrize(("z", "p"), [(0.59, 0.28), (0.23, 0.41), (-0.86, 0.81), (0.141, 0.44)])
def test_z_and_p_pair_up_as_in_table_3_of_cpsample(z, p):
    """Unit variances, 50 images a side: a difference of z sqrt(2 / 50) has just that z."""
    found = z_test(with_moments(50, 1.0, 1), with_moments(50, 1.0 + z * 0.2, 1, seed=1))
    assert found.statistic == pytest.approx(z, abs=1e-9)
    assert found.p == pytest.approx(p, abs=0.005)


def test_z_of_059_has_p_0278():
    found = z_test(with_moments(50, 0, 1), with_moments(50, 0.118, 1, seed=1))
    assert found.p == pytest.approx(0.2776, abs=5e-5)


def test_z_is_positive_for_an_overfitted_model():
    rng = np.random.default_rng(0)
    found = z_test(rng.normal(0.1, 0.1, 200), rng.normal(0.3, 0.1, 300))
    assert found.statistic > 5
    assert found.p < 1e-6
    assert found.effect == pytest.approx(2, abs=0.3)
    assert found.n == 500


def test_z_uses_each_sides_own_variance_and_size():
    m, h = np.array([1.0, 2, 4]), np.array([3.0, 9, 4, 5])
    expected = (5.25 - 7 / 3) / np.sqrt((20.75 / 3) / 4 + (14 / 3 / 2) / 3)
    assert z_test(m, h).statistic == pytest.approx(expected, rel=1e-12)
    assert z_test(h, m).statistic == pytest.approx(-expected, rel=1e-12)
    assert z_test(m, h).p + z_test(h, m).p == pytest.approx(1)


def test_losses_that_never_vary_give_no_nan():
    same = z_test(np.full(10, 0.1), np.full(7, 0.1))
    assert (same.statistic, same.p, same.effect) == (0, 0.5, 0)
    apart = z_test(np.full(10, 1.0), np.full(7, 2.0))
    assert (apart.statistic, apart.p) == (np.inf, 0)
    assert z_test(np.full(10, 2.0), np.full(7, 1.0)).p == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.ones((5, 20)), "must be a non-empty vector"),
        ([], "must be a non-empty vector"),
        ([1.0, np.nan], "member_loss holds 1 NaN"),
        ([1.0], "two images a side"),
    ],
)
def test_z_refuses_draws_nan_and_single_images(bad, words):
    with pytest.raises(ValueError, match=words):
        z_test(bad, np.arange(5.0))


def test_the_image_is_the_unit_and_draws_counted_as_samples_reject_too_often():
    """No effect at all: 5 % of the tests may reject; with 20 draws an image, far more do."""
    rng, repeats, images, draws = np.random.default_rng(0), 400, 60, 20
    by_image = by_draw = 0
    for _ in range(repeats):
        member, heldout = (
            rng.normal(size=(images, 1)) * 0.5 + rng.normal(size=(images, draws)) for _ in "mh"
        )
        by_image += z_test(member.mean(1), heldout.mean(1)).p < 0.05
        by_draw += z_test(member.ravel(), heldout.ravel()).p < 0.05
    assert 0.02 < by_image / repeats < 0.09
    assert by_draw / repeats > 0.18


@pytest.mark.parametrize("table", [(7, 20, 2, 25), (0, 5, 0, 6), (1, 8, 6, 9), (5, 5, 0, 5)])
def test_fisher_equals_the_hypergeometric_sum(table):
    a, n_a, b, n_b = table
    total = comb(n_a + n_b, a + b)
    p = sum(comb(n_a, k) * comb(n_b, a + b - k) for k in range(a, min(n_a, a + b) + 1)) / total
    found = fisher(*table)
    assert found.p == pytest.approx(p, rel=1e-9)
    assert found.statistic == pytest.approx(a / n_a - b / n_b)


def test_fisher_is_small_only_when_the_defended_rate_is_lower():
    assert fisher(22, 3000, 1, 3000).p == pytest.approx(2.8e-6, rel=0.02)  # not 0.013
    assert fisher(1, 3000, 22, 3000).p > 0.99
    assert fisher(0, 3000, 0, 3000).p == 1
    with pytest.raises(ValueError, match="impossible"):
        fisher(6, 5, 0, 5)


def test_mcnemar_equals_the_enumeration_of_fair_coins():
    a = np.array([1, 1, 1, 1, 1, 0, 0, 1, 0], bool)
    b = np.array([0, 0, 0, 0, 1, 1, 0, 0, 0], bool)  # five for a only, one for b only
    p = np.mean([sum(coins) >= 5 for coins in product([0, 1], repeat=6)])
    assert mcnemar(a, b).p == pytest.approx(p)
    assert mcnemar(a, b).statistic == pytest.approx(4 / 9)
    assert mcnemar(b, a).p > 0.9
    assert mcnemar(a, a).p == 1
    assert mcnemar(a, a).statistic == 0


def test_mcnemar_refuses_what_is_not_paired():
    with pytest.raises(ValueError, match="two boolean vectors of one length"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ValueError, match="two boolean vectors of one length"):
        mcnemar(np.ones(3), np.ones(3))


def log_rank_by_hand(a, b, threshold):
    """Sum over event times of observed - expected, squared, over the hypergeometric variances."""
    difference = variance = 0.0
    for time in sorted({1 - s for s in (*a, *b) if s > threshold}):
        n_a, n_b = (sum(min(1 - s, 1 - threshold) >= time for s in side) for side in (a, b))
        d_a, d_b = (sum(s > threshold and 1 - s == time for s in side) for side in (a, b))
        n, d = n_a + n_b, d_a + d_b
        difference += d_a - d * n_a / n
        variance += d * n_a * n_b * (n - d) / (n**2 * (n - 1)) if n > 1 else 0
    return difference**2 / variance


@pytest.mark.parametrize("decimals", [2, 6])
def test_the_log_rank_statistic_is_the_chi_square_of_the_textbook(decimals):
    rng = np.random.default_rng(0)
    a, b = rng.beta(6, 2, 60).round(decimals), rng.beta(4, 2, 45).round(decimals)
    found = logrank(a, b, 0.8)
    assert found.statistic == pytest.approx(log_rank_by_hand(a, b, 0.8), rel=1e-9)
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 1), rel=1e-9)
    assert found.n == 105


def test_the_log_rank_p_is_close_to_fishers():
    """With few events, all censored at one place, it compares two proportions."""
    rng = np.random.default_rng(1)
    a, b = rng.uniform(size=1000), rng.uniform(size=1000)
    a[:30], b[:18] = 0.96 + 0.03 * rng.uniform(size=30), 0.96 + 0.03 * rng.uniform(size=18)
    a[30:], b[18:] = a[30:] * 0.9, b[18:] * 0.9
    exact = stats.fisher_exact([[30, 970], [18, 982]]).pvalue
    assert logrank(a, b, 0.95).p == pytest.approx(exact, rel=0.35)
    assert 0.05 < exact < 0.15


def test_the_log_rank_test_is_blind_below_the_threshold():
    rng = np.random.default_rng(2)
    a, b = rng.uniform(size=50), rng.uniform(size=50)
    moved = np.where(b > 0.8, b, b / 2)
    assert logrank(a, b, 0.8) == logrank(a, moved, 0.8)


def test_without_events_the_log_rank_test_says_nothing():
    for threshold, value in ((0.97, 0.97), (0.9, 0.5)):
        found = logrank(np.full(10, value), np.full(12, value), threshold)
        assert (found.statistic, found.p) == (0, 1)


def test_all_copies_at_one_similarity_give_no_nan():
    found = logrank(np.ones(10), np.ones(12), 0.9)
    assert (found.statistic, found.p) == (0, 1)


def similarities(seed, n=40, m=60, trained=20):
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.arange(m) < trained)
    return rng.uniform(size=(n, m)), chosen, rng


def test_the_smallest_permutation_p_is_one_in_a_thousand():
    similarity, trained, rng = similarities(0, n=200)
    similarity[:, trained] += 1
    for statistic in ("max", "mean"):
        found = permutation_test(similarity * 0.5, trained, rng, 200, 999, statistic)
        assert found.p >= 0.001
    assert found.p == pytest.approx(0.001)
    assert found.quantile == 1


def null_p_values(repeats, resamples, statistic):
    for seed in range(repeats):
        similarity, trained, rng = similarities(seed)
        yield permutation_test(similarity, trained, rng, 15, resamples, statistic).p


def test_the_permutation_p_is_uniform_without_an_effect():
    p = list(null_p_values(200, 99, "mean"))
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert min(p) >= 0.01


def test_the_maximum_rejects_no_more_often_than_its_level():
    assert np.mean(np.array(list(null_p_values(200, 39, "max"))) <= 0.05) < 0.1


def test_the_permutation_statistics_are_those_of_the_paper():
    """Using every sample, T_0 is fixed, and few images allow all subsets to be enumerated."""
    similarity, trained, rng = similarities(3, n=8, m=6, trained=2)
    for statistic, reduce in (("max", np.max), ("mean", np.mean)):
        found = permutation_test(similarity, trained, rng, 8, 4000, statistic)
        T_0 = reduce(similarity[:, trained].max(axis=1))
        all_T = [reduce(similarity[:, list(c)].max(axis=1)) for c in combinations(range(6), 2)]
        assert found.statistic == pytest.approx(T_0)
        assert found.p == pytest.approx(np.mean(np.array(all_T) >= T_0), abs=0.03)
        assert found.quantile == pytest.approx(np.mean(np.array(all_T) < T_0), abs=0.03)


def test_the_permutation_test_looks_at_the_rows_that_were_drawn_in_every_block():
    similarity = np.arange(600.0)[:, None] + np.linspace(0, 0.5, 20)  # row i is about i
    trained = np.arange(20) >= 10
    found = permutation_test(similarity, trained, np.random.default_rng(0), 5, 9)
    samples = np.random.default_rng(0).choice(600, 5, replace=False)  # T_0's are drawn first
    assert found.statistic == samples.max() + 0.5


def test_the_permutation_test_refuses_what_it_cannot_compare():
    similarity, trained, rng = similarities(0)
    everything = np.ones_like(trained)
    with pytest.raises(ValueError, match="some but not all"):
        permutation_test(similarity, everything, rng, 5)
    with pytest.raises(ValueError, match="cannot draw"):
        permutation_test(similarity, trained, rng, 41)
    with pytest.raises(ValueError, match="NaN"):
        permutation_test(similarity * np.nan, trained, rng, 5, 9)
    with pytest.raises(ValueError, match="statistic is"):
        permutation_test(similarity, trained, rng, 5, statistic="median")
