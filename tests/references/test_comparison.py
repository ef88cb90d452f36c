"""Differences of copy rates and of leaks, against plain formulas and at their extremes."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from leakboard.measures import comparison
from leakboard.measures.bootstrap import Resamples
from leakboard.measures.comparison import all_leaks, copies, difference, leak, leaks
from leakboard.measures.tests import mcnemar


def paired(only_a, only_b, both, neither):
    counts = [only_a, only_b, both, neither]
    return np.repeat([True, False, True, False], counts), np.repeat([False, True, True, 0], counts)


def copied(*counts):
    a, b = paired(*counts)
    return copies(a, b.astype(bool))


def test_a_difference_of_copy_rates_is_mcnemars_and_bonett_and_prices_by_hand():
    found = copied(9, 2, 5, 84)
    assert (found.value_a, found.value_b) == (0.14, 0.07)
    assert found.difference == pytest.approx(0.07)
    assert found.p == pytest.approx(binomtest(9, 11).pvalue)
    p_a, p_b = 10 / 102, 3 / 102
    se = np.sqrt((p_a + p_b - (p_a - p_b) ** 2) / 102)
    assert found.se == pytest.approx(se)
    assert found.ci_low == pytest.approx(p_a - p_b - norm.isf(0.025) * se)
    assert found.ci_high == pytest.approx(p_a - p_b + norm.isf(0.025) * se)
    assert found.n == 100


def test_the_two_sided_p_is_twice_the_one_sided_of_the_side_found():
    for counts in ((9, 2, 5, 84), (2, 9, 5, 84), (6, 0, 0, 10), (4, 4, 1, 9)):
        a, b = (x.astype(bool) for x in paired(*counts))
        one_sided = min(mcnemar(a, b).p, mcnemar(b, a).p)
        assert copies(a, b).p == pytest.approx(min(1, 2 * one_sided))


def test_swapping_two_defenses_mirrors_the_difference_of_copies():
    there, back = copied(9, 2, 5, 84), copied(2, 9, 5, 84)
    assert there.difference == -back.difference
    assert (there.ci_low, there.ci_high) == pytest.approx((-back.ci_high, -back.ci_low))
    assert there.p == back.p


@pytest.mark.parametrize("counts", [(0, 0, 0, 500), (0, 0, 500, 0), (0, 0, 20, 480)])
def test_pictures_that_all_agree_are_tied_within_an_interval_that_is_not_empty(counts):
    found = copied(*counts)
    assert (found.difference, found.p) == (0, 1)
    assert -0.02 < found.ci_low < 0 < found.ci_high < 0.02


def test_the_interval_of_copies_stays_in_its_range_and_holds_the_difference():
    for n in (1, 3, 50):
        all_a = copied(n, 0, 0, 0)
        assert all_a.difference == all_a.ci_high == 1
        assert all_a.ci_low < 1
        assert copied(0, n, 0, 0).ci_low == -1


def test_several_seeds_add_their_counts():
    one, two = paired(9, 2, 5, 84), paired(1, 0, 9, 90)
    a, b = ([x.astype(bool) for x in side] for side in zip(one, two, strict=True))
    found = copies(a, b)
    assert found == copied(10, 2, 14, 174)
    each = [copies(x, y).difference for x, y in zip(a, b, strict=True)]
    assert found.difference == pytest.approx(np.mean(each))


def test_copies_that_are_not_paired_are_refused():
    with pytest.raises(ValueError, match="cannot be paired"):
        copies(np.ones(3, bool), np.ones(4, bool))
    for wrong in (np.ones(3), np.ones((3, 2), bool), np.ones(0, bool), []):
        with pytest.raises(ValueError, match="boolean vectors"):
            copies(wrong, np.ones(3, bool))


# --- leaks ---------------------------------------------------------------------------------------

MEMBERS = np.random.default_rng(0).permutation(np.arange(600) < 200)
RESAMPLES = Resamples(MEMBERS, np.random.default_rng(1), 1000)


def drawn(seed, auc, seeds=1):
    """The scores of an attack whose AUC is `auc`, one (600,) vector for each seed."""
    rng = np.random.default_rng(seed)
    shift = norm.ppf(auc) * 2**0.5
    return [rng.normal(size=MEMBERS.size) + shift * MEMBERS for _ in range(seeds)]


def told(a, b):
    return leaks(a, b, MEMBERS, RESAMPLES)


def test_a_leak_is_the_attack_farthest_from_chance_on_either_side():
    cell = {"weak": drawn(0, 0.6), "turned": drawn(1, 0.2), "strong": drawn(2, 0.75)}
    found = leak(cell, MEMBERS, RESAMPLES)
    assert found.attack == "turned"
    assert found.auc < 0.5
    assert found.value == pytest.approx(0.5 - found.auc)
    assert found.images == 600
    alone = leak({"turned": cell["turned"]}, MEMBERS, RESAMPLES)
    assert found.replicates.mean() >= alone.replicates.mean()


def test_several_seeds_are_averaged_before_the_worst_is_taken():
    """One seed of an attack is lucky: its mean over seeds is not the worst."""
    lucky = [drawn(0, 0.95)[0], drawn(1, 0.5)[0]]
    steady = drawn(2, 0.8, seeds=2)
    found = leak({"lucky": lucky, "steady": steady}, MEMBERS, RESAMPLES)
    assert found.attack == "steady"
    aucs = [leak({"one": [seed]}, MEMBERS, RESAMPLES).auc for seed in steady]
    assert found.auc == pytest.approx(np.mean(aucs))
    assert found.replicates.mean() == pytest.approx(found.value, abs=0.003)
    spread = leak({"one": steady[:1]}, MEMBERS, RESAMPLES).replicates.std()
    assert found.replicates.std() < 0.85 * spread


def test_the_standard_error_is_delongs_for_two_correlated_aucs():
    """DeLong et al. 1988, eq. 5 and 6, written out for scores that share half their noise."""
    rng = np.random.default_rng(3)
    common = rng.normal(size=600)
    a, b = (common + rng.normal(size=600) + shift * MEMBERS for shift in (2.0, 1.0))
    m, s = MEMBERS, ~MEMBERS
    v10 = np.array([(x[m][:, None] > x[s]).mean(1) for x in (a, b)])
    v01 = np.array([(x[m][:, None] > x[s]).mean(0) for x in (a, b)])
    covariance = np.cov(v10) / 200 + np.cov(v01) / 400
    exact = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    found = told({"x": [a]}, {"x": [b]})
    assert found.se == pytest.approx(exact, rel=0.08)
    apart = rng.normal(size=600) + rng.normal(size=600) + 1.0 * MEMBERS
    assert told({"x": [a]}, {"x": [apart]}).se > 1.2 * found.se  # pairing pays


def test_swapping_two_defenses_mirrors_the_difference_of_leaks():
    a, b = {"x": drawn(0, 0.8), "y": drawn(1, 0.7)}, {"x": drawn(2, 0.6), "y": drawn(3, 0.7)}
    there, back = told(a, b), told(b, a)
    assert there.difference == pytest.approx(there.value_a - there.value_b) == -back.difference
    assert (there.ci_low, there.ci_high) == pytest.approx((-back.ci_high, -back.ci_low))
    assert there.p == pytest.approx(back.p)
    assert there.se == pytest.approx(back.se)


def test_the_same_scores_are_tied_whatever_they_tell():
    for scores in (drawn(0, 0.5), drawn(0, 0.8), [1.0 * MEMBERS], [np.zeros(600)]):
        found = told({"x": scores}, {"x": [seed.copy() for seed in scores]})
        assert (found.difference, found.ci_low, found.ci_high) == (0, 0, 0)
        assert (found.p, found.se) == (1, 0)
    rescaled = told({"x": drawn(0, 0.8)}, {"x": [3 * drawn(0, 0.8)[0] + 1]})
    assert (rescaled.difference, rescaled.p, rescaled.se) == (0, 1, 0)


def test_defenses_that_share_their_worst_attack_are_tied():
    """As under `weights`, where two defenses of one network differ in a weak attack alone."""
    worst = drawn(0, 0.9)
    found = told({"x": worst, "y": drawn(1, 0.5)}, {"x": worst, "y": drawn(2, 0.5)})
    assert (found.difference, found.p) == (0, 1)


def test_two_perfect_attacks_are_tied_within_what_so_many_images_can_tell():
    rng = np.random.default_rng(0)
    a, b = (10.0 * MEMBERS + rng.uniform(size=600) for _ in "ab")
    found = told({"x": [a]}, {"x": [b]})
    assert (found.value_a, found.value_b, found.difference, found.p) == (0.5, 0.5, 0, 1)
    assert found.ci_low == -found.ci_high
    one_sided = 1 - 0.025 ** (1 / 200)  # Clopper-Pearson, 200 of 200
    assert found.ci_high == pytest.approx(2**0.5 * one_sided, rel=1e-6)


def test_a_perfect_attack_is_told_from_a_good_one_if_there_are_images_enough():
    found = told({"x": [1.0 * MEMBERS]}, {"x": drawn(1, 0.78)})
    assert found.p < 1e-6
    assert 0.1 < found.ci_low < found.difference < found.ci_high < 0.3
    few = np.arange(12) < 5
    some = Resamples(few, np.random.default_rng(0), 1000)
    scores = np.array([9, 8, 7, 2, 1, 6, 5, 4, 3, 0, -1, -2.0])
    found = leaks({"x": [1.0 * few]}, {"x": [scores]}, few, some)
    assert found.p > 0.05


def test_the_luck_of_many_attacks_is_known_to_the_interval():
    """Ten attacks that know nothing look like a leak: more than one does, and nothing more."""
    many = {f"{k:02}": drawn(k, 0.5) for k in range(10)}
    one = {"00": drawn(50, 0.5)}
    crowd, single = (leak(cell, MEMBERS, RESAMPLES) for cell in (many, one))
    assert crowd.value > 0.03
    assert crowd.optimism == pytest.approx(1.87 * single.optimism / 0.8, rel=0.15)
    strong = leak({"x": drawn(7, 0.9)}, MEMBERS, RESAMPLES)
    assert strong.optimism == pytest.approx(0, abs=1e-4)
    found = difference(strong, crowd)
    plain = comparison.Z * found.se
    assert found.ci_low == pytest.approx(found.difference - plain, abs=1e-3)
    assert found.ci_high > found.difference + plain + 0.5 * crowd.value
    assert told(many, one).p > told({"00": many[crowd.attack]}, one).p


def test_where_luck_alone_could_turn_the_order_nothing_is_claimed():
    a, b = (leak({"x": drawn(i, auc)}, MEMBERS, RESAMPLES) for i, auc in ((0, 0.8), (1, 0.75)))
    assert difference(a, b).p < 1
    lucky = replace(a, optimism=2 * (a.value - b.value))
    found = difference(lucky, b)
    assert found.p == 1
    assert found.ci_low < -found.difference < 0 < found.difference < found.ci_high


def test_all_pairs_are_those_of_two():
    cells = {
        name: {"x": drawn(i, 0.5 + i / 10), "y": drawn(9 + i, 0.6)} for i, name in enumerate("abcd")
    }
    found, pairs = all_leaks(cells, MEMBERS, RESAMPLES)
    assert list(found) == list("abcd")
    assert list(pairs) == list(combinations("abcd", 2))
    for (a, b), pair in pairs.items():
        assert pair == told(cells[a], cells[b])
        assert (pair.value_a, pair.value_b) == (found[a].value, found[b].value)
    assert pairs["a", "d"].difference < 0


def test_leaks_of_nothing_or_of_other_images_are_refused():
    for empty in ({}, {"x": []}):
        with pytest.raises(ValueError, match="one attack at least"):
            leak(empty, MEMBERS, RESAMPLES)
    with pytest.raises(ValueError, match="other members"):
        leak({"x": drawn(0, 0.5)}, ~MEMBERS, RESAMPLES)
