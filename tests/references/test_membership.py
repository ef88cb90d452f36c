"""Membership measures against brute force, scikit-learn, and scores whose answer is known."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import beta, binom, binomtest, norm
from sklearn.metrics import roc_auc_score, roc_curve

from leakboard.measures import Measure, bootstrap
from leakboard.measures.bootstrap import Resampler, Resamples, auc_interval, placements
from leakboard.measures.membership import (
    MIN_FALSE_POSITIVES,
    asr,
    asr_interval,
    auc,
    best_threshold,
    membership,
    rates,
    resolvable,
    roc,
    roc_band,
    threshold_at_fpr,
    tpr_at_fpr,
)


def pools(n_m, n_s, seed=0, shift=0.8, decimals=None):
    rng = np.random.default_rng(seed)
    members = rng.permutation(np.arange(n_m + n_s) < n_m)
    scores = rng.normal(size=members.size) + shift * members
    return (scores if decimals is None else scores.round(decimals)), members


def brute_auc(scores, members):
    pairs = [(m > s) + 0.5 * (m == s) for m in scores[members] for s in scores[~members]]
    return sum(pairs) / len(pairs)


def brute_tpr(scores, members, fpr):
    """The rule in words: try every threshold, keep those within the rate, take the best."""
    best = 0.0
    for t in scores:
        if np.mean(scores[~members] >= t) <= fpr:
            best = max(best, float(np.mean(scores[members] >= t)))
    return best


def linear_grid_auc(scores, members, points):
    """What attacks' published code does: thresholds on an even grid, its last end left out."""
    low, high = scores.min(), scores.max()
    grid = low + (high - low) * np.arange(points) / points
    tpr = np.array([np.mean(scores[members] > t) for t in grid])
    fpr = np.array([np.mean(scores[~members] > t) for t in grid])
    return -np.trapezoid(tpr, fpr), tpr[fpr <= 0.01].max(initial=0)


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_auc_equals_the_count_over_all_pairs_with_ties_as_half(decimals):
    for seed in range(5):
        scores, members = pools(31, 44, seed, decimals=decimals)
        assert auc(scores, members) == pytest.approx(brute_auc(scores, members), abs=1e-12)
        assert auc(scores, members) == pytest.approx(roc_auc_score(members, scores), abs=1e-12)


def test_auc_is_the_area_under_the_roc():
    fpr, tpr, thresholds = roc(*pools(60, 80, decimals=1))
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(*pools(60, 80, decimals=1)), abs=1e-12)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.all(np.diff(thresholds) < 0)
    assert np.isinf(thresholds[0])


def test_the_roc_has_a_point_for_every_distinct_score():
    scores, members = pools(300, 300)
    assert len(roc(scores, members)[0]) == len(np.unique(scores)) + 1


def test_perfect_hard_labels_have_auc_one():
    members = np.arange(20) < 8
    scores = members.astype(float)
    assert auc(scores, members) == asr(scores, members) == tpr_at_fpr(scores, members, 0.0) == 1
    assert linear_grid_auc(scores, members, 2000)[0] < 0.5  # the trap: this grid misses it


def test_reversed_scores_have_auc_zero_and_are_never_flipped():
    members = np.arange(20) < 8
    scores = -members.astype(float)
    assert auc(scores, members) == 0
    assert asr(scores, members) == 0.5
    assert tpr_at_fpr(scores, members, 0.05) == 0


def test_constant_scores_are_chance():
    members = np.arange(20) < 8
    assert auc(np.ones(20), members) == 0.5
    assert asr(np.ones(20), members) == 0.5
    assert tpr_at_fpr(np.ones(20), members, 0.5) == 0


@pytest.mark.parametrize(("sd", "shift", "area"), [(1.2, 0.9, 0.7039), (2.5, 2.0, 0.713)])
def test_heavy_tails_do_not_hide_from_the_exact_roc_as_they_do_from_a_grid(sd, shift, area):
    rng = np.random.default_rng(1)
    n = 25_000
    members = np.arange(2 * n) < n
    scores = -np.exp(sd * rng.normal(size=2 * n) - shift * members)  # a loss: lower is a member
    assert auc(scores, members) == pytest.approx(norm.cdf(shift / sd / 2**0.5), abs=0.008)
    assert auc(scores, members) == pytest.approx(area, abs=0.012)
    expected = norm.sf(norm.isf(0.01) - shift / sd)
    assert tpr_at_fpr(scores, members, 0.01) == pytest.approx(expected, abs=0.01)
    grid_area, grid_tpr = linear_grid_auc(scores, members, 2000)
    assert grid_tpr < expected / 20  # the trap: the grid sees almost none of them
    assert grid_area < auc(scores, members) - 0.002


@pytest.mark.parametrize("transform", [lambda s: s / 1e6, np.log, lambda s: s**3 + 500])
def test_every_measure_is_unchanged_by_any_monotone_transform(transform):
    rng = np.random.default_rng(2)
    members = np.arange(900) < 400
    scores = rng.gamma(500, 1, size=900) + 8 * members
    for statistic in (auc, asr, partial(tpr_at_fpr, fpr=0.01)):
        assert statistic(transform(scores), members) == statistic(scores, members)


def test_swapping_the_pools_mirrors_the_auc():
    scores, members = pools(50, 70, decimals=1)
    assert auc(scores, ~members) == pytest.approx(1 - auc(scores, members), abs=1e-12)
    assert auc(-scores, members) == pytest.approx(1 - auc(scores, members), abs=1e-12)


def test_tpr_follows_the_rule_on_an_enumerated_roc():
    """Ten images, best first: M M S M S M S M S S (five strangers, five members)."""
    members = np.array([c == "M" for c in "MMSMSMSMSS"])
    scores = np.arange(10, 0, -1.0)
    table = {0: 0.4, 0.19: 0.4, 0.2: 0.6, 0.39: 0.6, 0.4: 0.8, 0.6: 1, 0.8: 1, 1: 1}
    for fpr, tpr in table.items():
        assert tpr_at_fpr(scores, members, fpr) == pytest.approx(tpr, abs=1e-12), fpr


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_tpr_equals_a_search_over_every_threshold(decimals):
    for seed, fpr in enumerate([0, 0.01, 0.07, 0.29, 0.5, 1]):
        scores, members = pools(90, 100, seed, decimals=decimals)
        expected = brute_tpr(scores, members, fpr)
        assert tpr_at_fpr(scores, members, fpr) == pytest.approx(expected, abs=1e-12)
        f, t, _ = roc_curve(members, scores, drop_intermediate=False)
        assert tpr_at_fpr(scores, members, fpr) == pytest.approx(t[f <= fpr].max(), abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 1])
def test_the_threshold_is_the_lowest_that_keeps_the_rate(decimals):
    for seed, fpr in enumerate([0, 0.01, 0.05, 0.3]):
        scores, members = pools(90, 100, seed, decimals=decimals)
        t = threshold_at_fpr(scores, members, fpr)
        assert rates(scores, members, t)[1] <= fpr
        assert rates(scores, members, np.nextafter(t, -np.inf))[1] > fpr
    assert threshold_at_fpr(scores, members, 1.0) == -np.inf


def test_a_rate_that_rounds_below_a_whole_number_still_allows_it():
    members, scores = np.arange(101) == 100, np.append(np.arange(100.0), 0)
    assert 0.29 * 100 < 29
    assert rates(scores, members, threshold_at_fpr(scores, members, 0.29))[1] == 0.29


def test_rates_count_a_score_at_the_threshold_as_accepted():
    members = np.array([True, True, False, False])
    assert rates(np.array([2.0, 1, 2, 0]), members, 2.0) == (0.5, 0.5)


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_asr_equals_a_search_over_every_threshold(decimals):
    for seed in range(5):
        scores, members = pools(40, 30, seed, shift=0.3, decimals=decimals)
        m, s = scores[members], scores[~members]
        found = max((np.mean(m >= t) + np.mean(s < t)) / 2 for t in [*scores, np.inf])
        assert asr(scores, members) == pytest.approx(found, abs=1e-12)
        tpr, fpr = rates(scores, members, best_threshold(scores, members))
        assert (tpr + 1 - fpr) / 2 == pytest.approx(found, abs=1e-12)


def test_a_stack_of_scores_gives_what_its_rows_give():
    members = pools(40, 60)[1]
    stack = np.random.default_rng(3).normal(size=(2, 5, 100)).round(1)
    for statistic in (auc, asr, partial(tpr_at_fpr, fpr=0.1)):
        rows = [[statistic(row, members) for row in block] for block in stack]
        np.testing.assert_array_equal(statistic(stack, members), rows)


@pytest.mark.parametrize(
    ("scores", "members", "words"),
    [
        ([1.0, np.nan, 2.0], [True, False, False], "1 scores are NaN or infinite"),
        ([1.0, np.inf, 2.0], [True, False, False], "NaN or infinite"),
        ([1.0, 2.0], [True, False, False], "do not fit 3 members"),
        ([1.0, 2.0], [True, True], "both members and strangers"),
        ([1.0, 2.0], [False, False], "both members and strangers"),
        ([1.0, 2.0], [1, 0], "boolean"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(scores, members, words):
    for statistic in (auc, asr, roc, partial(tpr_at_fpr, fpr=0.1)):
        with pytest.raises(ValueError, match=words):
            statistic(np.array(scores), np.array(members))


def test_a_rate_is_resolvable_from_five_false_positives_on():
    assert MIN_FALSE_POSITIVES == 5
    assert resolvable(500, 0.01)
    assert not resolvable(499, 0.01)
    assert resolvable(5000, 0.001)
    assert not resolvable(4999, 0.001)


def brute_bootstrap(statistic, scores, members, rng, resamples=1500, level=0.95):
    """The textbook: draw members and strangers again, measure, take quantiles."""
    m, s = scores[members], scores[~members]
    is_member = np.arange(scores.size) < m.size
    drawn = [
        np.concatenate([rng.choice(m, m.size), rng.choice(s, s.size)]) for _ in range(resamples)
    ]
    values = [statistic(one, is_member) for one in drawn]
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2])


def resampled(members, seed=0, count=500):
    return Resamples(members, np.random.default_rng(seed), count)


KNOWN = np.arange(500) < 200  # members, listed first


@pytest.mark.parametrize("shift", [0.0, 0.8, 2.0])
def test_the_auc_interval_is_that_of_the_plain_loop_over_resampled_images(shift):
    scores, members = pools(120, 150, shift=shift)
    value, low, high = auc_interval(scores, members, resampled(members, count=4000))
    ends = brute_bootstrap(auc, scores, members, np.random.default_rng(1))
    assert value == pytest.approx(roc_auc_score(members, scores), abs=1e-12)
    assert (low, high) == pytest.approx(ends, abs=0.2 * (ends[1] - ends[0]))
    assert high - low == pytest.approx(ends[1] - ends[0], rel=0.1)


def test_every_replicate_is_that_of_the_images_it_drew():
    """Small moves: the linear AUC of a resample is within a few percent of counting its pairs."""
    scores, members = pools(200, 300)
    resamples = resampled(members, count=50)
    replicates = resamples.aucs(placements(scores, members)[None])[0]
    inside, outside = (drawn.astype(int) for drawn in resamples._drawn)
    assert set(inside.sum(1)) == {200}
    assert set(outside.sum(1)) == {300}
    counted = [
        auc(np.concatenate([np.repeat(scores[members], a), np.repeat(scores[~members], b)]), KNOWN)
        for a, b in zip(inside, outside, strict=True)
    ]
    assert np.corrcoef(counted, replicates)[0, 1] > 0.998
    assert replicates == pytest.approx(counted, abs=0.004)


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_placements_are_the_shares_that_an_image_outdoes(decimals):
    scores, members = pools(31, 44, decimals=decimals)
    for i, share in enumerate(placements(scores, members)):
        others = scores[members != members[i]]
        outdone = others < scores[i] if members[i] else others > scores[i]
        counted = np.mean(outdone) + np.mean(others == scores[i]) / 2
        assert share == pytest.approx(counted, abs=1e-12)
    for side in (members, ~members):
        mean = placements(scores, members)[side].mean()
        assert mean == pytest.approx(roc_auc_score(members, scores), abs=1e-12)


def test_the_bootstrap_draws_from_nothing_but_its_seed():
    scores, members = pools(40, 50)
    first = auc_interval(scores, members, Resampler(7)(members))
    assert first == auc_interval(scores, members, Resampler(7)(members))
    assert first != auc_interval(scores, members, Resampler(8)(members))
    resampler = Resampler(7)
    assert resampler(members) is resampler(members.copy())
    assert resampler(~members) is not resampler(members)
    again = resampler(members)
    assert again.generator().random() == again.generator().random()


def test_resamples_of_other_images_are_refused():
    scores, members = pools(40, 50)
    for interval in (auc_interval, asr_interval):
        with pytest.raises(ValueError, match="other members"):
            interval(scores, members, resampled(~members))


def test_resamples_of_many_images_are_fewer_and_never_too_few(monkeypatch):
    monkeypatch.setattr(bootstrap, "ROOM", 50_000)
    assert Resamples(pools(40, 60)[1], np.random.default_rng(0)).count == 500
    assert Resamples(pools(400, 600)[1], np.random.default_rng(0)).count == bootstrap.LEAST


def test_the_roc_band_holds_the_exact_roc_in_one_pass():
    for decimals in (None, 1):
        scores, members = pools(90, 100, decimals=decimals)
        fprs = [0, 0.01, 0.07, 0.29, 0.5, 1]
        tpr, low, high = roc_band(scores, members, fprs, np.random.default_rng(0))
        assert tpr.tolist() == [tpr_at_fpr(scores, members, fpr) for fpr in fprs]
        assert (low <= tpr).all()
        assert (tpr <= high).all()
        assert (np.diff(low) >= -0.03).all()
        assert (np.diff(high) >= -0.03).all()


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_where_the_threshold_cannot_matter_the_band_is_clopper_and_pearsons(share):
    """Some members above all strangers, the others below all: the TPR is the same anywhere."""
    members = np.arange(2100) < 100
    scores = np.where(members, np.where(np.arange(2100) < 100 * share, 9.0, -9.0), 0.0)
    scores = scores + np.where(members, 0, np.random.default_rng(0).normal(size=2100))
    tpr, low, high = roc_band(scores, members, [0.05], np.random.default_rng(1), draws=20_000)
    exact = binomtest(round(100 * share), 100).proportion_ci()
    assert tpr == pytest.approx(share)
    assert low == pytest.approx(exact.low, abs=0.006)
    assert high == pytest.approx(exact.high, abs=0.006)


def test_the_band_is_the_mixture_that_its_definition_says():
    """Summed over every number of accepted strangers and members, and solved for: no draws."""
    members, fpr = np.arange(100) < 40, 0.1
    scores = np.random.default_rng(1).normal(size=100) + members
    inside, outside = scores[members], np.sort(scores[~members])[::-1]
    edges = [np.inf, *outside, -np.inf]

    def chance(tpr, more):
        """That the TPR lies below `tpr`, if one more member were accepted or not."""
        total = 0.0
        for j in range(61):
            fewest, most = (int((inside > edge).sum()) for edge in edges[j : j + 2])
            fewest = fewest if j else 0
            counts = range(fewest, most + 1)
            each = [
                beta.cdf(tpr, k + more, 40 - k + 1 - more) if 0 < k + more < 41 else more < 1
                for k in counts
            ]
            total += binom.pmf(j, 60, fpr) * np.mean(each)
        return total

    _, low, high = roc_band(scores, members, [fpr], np.random.default_rng(0), draws=200_000)
    assert chance(low[0], 0) == pytest.approx(0.025, abs=0.001)
    assert chance(high[0], 1) == pytest.approx(0.975, abs=0.001)


@pytest.mark.parametrize("shift", [0.5, 1.5, 3.0])
def test_the_band_is_as_wide_as_a_bootstrap_that_moves_its_threshold(shift):
    """With its threshold held fixed, the TPR of 1,000 members would be known much better."""
    scores, members = pools(1000, 1000, shift=shift)
    tpr, low, high = roc_band(scores, members, [0.05], np.random.default_rng(0))
    statistic = partial(tpr_at_fpr, fpr=0.05)
    ends = brute_bootstrap(statistic, scores, members, np.random.default_rng(1), 600)
    assert 0.95 < (high - low)[0] / (ends[1] - ends[0]) < 1.4
    known = 2 * 1.96 * np.sqrt(tpr * (1 - tpr) / 1000)[0]
    assert (high - low)[0] > 1.2 * known


def test_the_interval_of_the_best_threshold_is_the_plain_loops_mirrored():
    """Up to as many images as there are steps the paths are exact, thinned thresholds are close."""
    for n, within in ((250, 0.006), (3000, 0.003)):
        scores, members = pools(n, n, shift=0.8)
        value, low, high = asr_interval(scores, members, resampled(members, count=2000))
        ends = brute_bootstrap(asr, scores, members, np.random.default_rng(1), 800)
        assert value == pytest.approx(asr(scores, members), abs=1e-12)
        assert [low, high] == pytest.approx(2 * value - ends[::-1], abs=within)


def test_a_resample_loses_nothing_by_trying_few_thresholds(monkeypatch):
    scores, members = pools(20_000, 20_000, shift=0.8)
    _, low, high = asr_interval(scores, members, resampled(members))
    monkeypatch.setattr(bootstrap, "TRIED", 10**6)
    _, all_low, all_high = asr_interval(scores, members, resampled(members))
    assert [low, high] == pytest.approx([all_low, all_high], abs=0.02 * (high - low))


@pytest.mark.parametrize("interval", [auc_interval, asr_interval])
def test_a_perfect_score_keeps_an_interval_below_one(interval):
    members = np.arange(70) < 30
    value, low, high = interval(members * 1.0, members, resampled(members))
    assert value == high == 1
    assert low == pytest.approx(0.025 ** (1 / 30))  # all of 30 disjoint pairs


def test_a_score_at_zero_and_a_constant_score_keep_an_interval():
    members = np.arange(70) < 30
    for scores, value in ((-1.0 * members, 0), (np.ones(70), 0.5)):
        found, low, high = auc_interval(scores, members, resampled(members))
        assert low <= value == found <= high
        assert high - low > 0.1
        value, low, high = asr_interval(scores, members, resampled(members))
        assert value == low == 0.5
        assert high > 0.6


NAMES = [
    "auc",
    "tpr@1%fpr",
    "tpr@0.1%fpr",
    "asr",
    "tpr@1%fpr:dev-threshold",
    "fpr:dev-threshold",
    "asr:dev-threshold",
]


def judged(dev, test, seed=0) -> dict[str, Measure]:
    return {m.metric: m for m in membership(dev, test, resampled(test[1], seed))}


def test_membership_names_every_measure_and_repeats_itself():
    dev, test = pools(500, 500, 1), pools(500, 500, 2)
    assert list(judged(dev, test)) == NAMES
    assert repr(judged(dev, test)) == repr(judged(dev, test))


def test_membership_intervals_hold_their_values():
    found = judged(pools(300, 500, 1), pools(400, 600, 2))
    for measure in found.values():
        if measure.status == "ok":
            assert 0 <= measure.ci_low <= measure.value <= measure.ci_high <= 1
            assert measure.ci_low < measure.ci_high
    assert found["auc"].n == 1000
    assert found["tpr@1%fpr:dev-threshold"].n == 400
    assert found["fpr:dev-threshold"].n == 600
    assert found["auc"].better == "chance"
    assert found["tpr@1%fpr"].better == "lower"
    assert "optimistic" in found["asr"].note


def test_a_rate_too_fine_for_the_strangers_is_unresolved_and_says_why():
    found = judged(pools(500, 500, 1), pools(500, 500, 2))
    measure = found["tpr@0.1%fpr"]
    assert measure.status == "unresolved"
    assert np.isnan([measure.value, measure.ci_low]).all()
    assert measure.note == ("0.1 % of 500 strangers is 0.5 false positives; at least 5 are needed")
    assert found["tpr@1%fpr"].status == "ok"
    small = judged(pools(100, 100, 1), pools(500, 500, 2))
    assert small["tpr@1%fpr:dev-threshold"].status == "unresolved"
    assert small["fpr:dev-threshold"].status == "unresolved"
    assert small["tpr@1%fpr"].status == small["asr:dev-threshold"].status == "ok"


def test_the_dev_threshold_is_carried_to_test_and_its_realised_rate_shown():
    (dev_scores, dev_members), (scores, members) = pools(500, 500, 1), pools(500, 500, 2)
    found = judged((dev_scores, dev_members), (scores + 1, members))  # test drifted upwards
    t = np.sort(dev_scores[~dev_members])[-6]  # 5 of 500 strangers lie above
    tpr, fpr = np.mean(scores[members] + 1 > t), np.mean(scores[~members] + 1 > t)
    assert found["tpr@1%fpr:dev-threshold"].value == tpr
    assert found["fpr:dev-threshold"].value == fpr
    assert found["fpr:dev-threshold"].ci_low > 0.01  # the drift is noticed
    assert found["asr:dev-threshold"].value < found["asr"].value


def test_dev_scores_never_touch_the_measures_of_test():
    one, other = (judged(pools(500, 500, k), pools(500, 500, 9)) for k in (1, 2))
    assert one["auc"] == other["auc"]
    assert one["asr"] == other["asr"]


def test_a_perfect_attack_and_a_blind_one_come_out_as_such():
    members = np.arange(1000) < 500
    found = judged((members * 1.0, members), (members * 1.0, members))
    for name in ("auc", "tpr@1%fpr", "asr", "tpr@1%fpr:dev-threshold", "asr:dev-threshold"):
        assert found[name].value == 1
        assert 0.98 < found[name].ci_low < 1
    assert found["fpr:dev-threshold"].value == 0 < found["fpr:dev-threshold"].ci_high < 0.01
    blind = judged(pools(500, 500, 1, shift=0), pools(500, 500, 2, shift=0))
    assert blind["auc"].ci_low < 0.5 < blind["auc"].ci_high
    backwards = judged((-1.0 * members, members), (-1.0 * members, members))
    assert backwards["auc"].value == 0
    assert backwards["asr"].ci_low == 0.5
