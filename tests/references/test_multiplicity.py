"""Holm, ranks and tie groups against tables worked out by hand and against their definitions."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm

from leakboard.measures import multiplicity
from leakboard.measures.multiplicity import detectable, holm, rank_intervals, tie_groups


def test_holm_adjusts_as_worked_out_by_hand():
    found = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])
    assert holm(np.array([])).size == 0
    for impossible in (-0.1, 1.1):
        with pytest.raises(ValueError, match="numbers in"):
            holm(np.array([0.1, impossible]))


def test_a_test_that_was_not_made_stays_empty_and_costs_nothing():
    found = holm(np.array([0.01, np.nan, 0.04, 0.03, np.nan, 0.005]))
    assert found == pytest.approx([0.03, np.nan, 0.06, 0.06, np.nan, 0.02], nan_ok=True)
    assert np.isnan(holm(np.full(3, np.nan))).all()


def test_holm_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(size=6) ** 4
        rejected = np.zeros(6, bool)
        for step, k in enumerate(np.argsort(p)):
            if p[k] > 0.05 / (6 - step):
                break
            rejected[k] = True
        np.testing.assert_array_equal(holm(p) <= 0.05, rejected)


def test_holm_keeps_the_order_and_lowers_nothing():
    p = np.random.default_rng(1).uniform(size=40) ** 3
    found = holm(p)
    assert (found >= p).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(p)]) >= 0).all()


def test_holm_rejects_anything_true_at_most_as_often_as_it_says():
    rng = np.random.default_rng(2)
    any_false = np.mean([(holm(rng.uniform(size=20)) <= 0.05).any() for _ in range(2000)])
    assert 0.035 < any_false < 0.065  # 1 - (1 - 0.05 / 20)^20 = 0.049


def test_a_difference_that_is_just_detectable_is_found_four_times_of_five():
    rng, se = np.random.default_rng(3), 0.02
    found = np.abs(rng.normal(detectable(se), se, size=20_000)) > norm.isf(0.025) * se
    assert found.mean() == pytest.approx(0.8, abs=0.01)
    assert detectable(se) == pytest.approx(2.80 * se, rel=1e-3)
    assert detectable(se, power=0.5) == pytest.approx(1.96 * se, rel=1e-3)


def worse_than(k, *pairs):
    worse = np.zeros((k, k), dtype=bool)
    for loser, winner in pairs:
        worse[loser, winner] = True
    return worse


def test_ranks_and_groups_of_five_as_drawn_by_hand():
    """Means 1 to 5, told apart if more than 2 apart: the textbook's overlapping groups."""
    worse = worse_than(5, (3, 0), (4, 0), (4, 1))
    low, high = rank_intervals(worse)
    assert low.tolist() == [1, 1, 1, 2, 3]
    assert high.tolist() == [3, 4, 5, 5, 5]
    assert tie_groups(worse) == ["a", "ab", "abc", "bc", "c"]


def test_what_nothing_separates_shares_all_ranks_and_one_letter():
    low, high = rank_intervals(worse_than(4))
    assert (low.tolist(), high.tolist()) == ([1] * 4, [4] * 4)
    assert tie_groups(worse_than(4)) == ["a"] * 4
    assert tie_groups(worse_than(0)) == []
    assert tie_groups(worse_than(1)) == ["a"]


def test_what_everything_separates_has_one_rank_and_one_letter_each():
    k = 30
    worse = np.tril(np.ones((k, k), dtype=bool), -1)
    low, high = rank_intervals(worse)
    assert low.tolist() == high.tolist() == list(range(1, k + 1))
    letters = tie_groups(worse)
    assert letters[:3] == ["a", "b", "c"]
    assert letters[25:28] == ["z", "aa", "ab"]


def shared(letters):
    between = " " if any(" " in each or len(set(each)) < len(each) for each in letters) else ""
    sets = [set(each.split(between) if between else each) for each in letters]
    return {(i, j) for i, j in combinations(range(len(sets)), 2) if sets[i] & sets[j]}


@pytest.mark.parametrize("most", [1, 26, 10**6])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_two_share_a_letter_if_and_only_if_neither_was_shown_to_be_worse(share, most, monkeypatch):
    monkeypatch.setattr(multiplicity, "MOST", most)
    rng = np.random.default_rng(0)
    for k in (2, 7, 12):
        worse = np.triu(rng.uniform(size=(k, k)) < share, 1).T
        letters = tie_groups(worse)
        assert all(letters)
        tied = {(i, j) for i, j in combinations(range(k), 2) if not worse[j, i]}
        assert shared(letters) == tied


def test_a_board_with_more_groups_than_atoms_is_lettered_in_a_moment():
    """Seventeen triples, each pair within one separated: 3^17 maximal sets, 129 million."""
    triple = np.tril(np.ones((3, 3), dtype=bool), -1)
    worse = np.kron(np.eye(17, dtype=bool), triple)
    letters = [set(each.split()) for each in tie_groups(worse)]
    for i, j in combinations(range(51), 2):
        assert bool(letters[i] & letters[j]) == (i // 3 != j // 3)
    assert len(set.union(*letters)) < 51 * 50 / 2


@pytest.mark.parametrize(
    ("worse", "words"),
    [
        (np.eye(3, dtype=bool), "worse than itself"),
        (worse_than(3, (0, 1), (1, 0)), "worse than each other"),
        (np.zeros((2, 3), dtype=bool), "shape"),
        (np.zeros((2, 2)), "bool"),
    ],
)
def test_an_order_that_cannot_be_is_refused(worse, words):
    for judge in (rank_intervals, tie_groups):
        with pytest.raises(ValueError, match=words):
            judge(worse)
