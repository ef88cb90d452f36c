"""Similarity measures against brute-force neighbors, enumeration, and known extremes."""

from math import comb

import numpy as np
import pytest
from scipy.stats import binom

from leakboard.measures.similarity import (
    calibrated_threshold,
    copying,
    distance_at,
    from_distance,
    memorization_ratio,
    memorized,
    nl2,
    rate,
    tops,
)


def neighbors(samples, reference, k):
    """d_1, d_2 and the mean of the k smallest distances, by sorting all of them."""
    d = np.sort(np.linalg.norm(samples[:, None] - reference[None], axis=-1), axis=1)
    return d[:, 0], d[:, 1], d[:, :k].mean(axis=1)


def test_nl2_lies_between_zero_and_two():
    rng = np.random.default_rng(0)
    samples, reference = rng.normal(size=(200, 5)), rng.normal(size=(80, 5))
    samples[:3] = reference[:3]
    d_1, _, mean_k = neighbors(samples, reference, 50)
    values = nl2(d_1, mean_k)
    assert np.all(values[:3] == 0)
    assert np.all(values[3:] > 0)
    assert np.all(values <= 2)
    np.testing.assert_allclose(values, d_1 / (0.5 * mean_k))
    np.testing.assert_allclose(nl2(d_1, mean_k, alpha=0.25), 2 * values)


def test_nl2_of_an_exact_copy_is_zero_and_of_equal_distances_exactly_two():
    assert nl2(np.array([0.0]), np.array([3.0]))[0] == 0
    distances = np.full((1, 50), 0.1)
    assert nl2(distances[:, 0], distances.mean(axis=1))[0] == 2
    single = np.full((1, 50), 0.1, np.float32)  # whose mean rounds
    assert nl2(single[:, 0], single.cumsum(axis=1)[:, -1] / 50)[0] == pytest.approx(2, rel=1e-5)


def test_nl2_counts_a_sample_among_identical_copies_as_a_copy():
    assert nl2(np.zeros(1), np.zeros(1))[0] == 0


def test_nl2_thresholds_mean_what_the_paper_says():
    mean_k = np.ones(4)
    d_1 = np.array([0.69, 0.71, 0.79, 0.81])  # 1.4 is 0.7 of the mean, 1.6 is 0.8
    np.testing.assert_array_equal(nl2(d_1, mean_k) < 1.4, [True, False, False, False])
    np.testing.assert_array_equal(nl2(d_1, mean_k) < 1.6, [True, True, True, False])


@pytest.mark.parametrize(
    ("d_1", "mean_k", "words"),
    [
        ([2.0], [1.0], "smaller than the smallest"),
        ([-1.0], [1.0], "negative"),
        ([np.nan], [1.0], "NaN"),
        ([1.0, 2.0], [3.0], "differ in length"),
    ],
)
def test_nl2_refuses_distances_of_no_search(d_1, mean_k, words):
    with pytest.raises(ValueError, match=words):
        nl2(np.array(d_1), np.array(mean_k))


def test_the_memorization_ratio_is_a_share_strictly_below_a_third():
    d_1, d_2 = np.array([0.9, 1.0, 1.1, 0.0]), np.full(4, 3.0)
    np.testing.assert_array_equal(memorized(d_1, d_2), [True, False, False, True])
    assert memorization_ratio(d_1, d_2) == 0.5
    assert memorization_ratio(d_1, d_2, below=0.5) == 1
    with pytest.raises(ValueError, match="runner-up"):
        memorized(np.array([2.0]), np.array([1.0]))


def test_exact_copies_are_found_when_every_reference_image_has_a_duplicate():
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(30, 6)), rng.normal(size=(40, 6))
    samples[:10] = reference[:10]
    alone = neighbors(samples, reference, 20)
    doubled = neighbors(samples, np.concatenate([reference, reference]), 40)
    assert memorized(*alone[:2])[:10].all()
    np.testing.assert_array_equal(memorized(*doubled[:2]), np.arange(40) < 10)
    assert np.all(nl2(doubled[0], doubled[2])[:10] == 0)


def test_a_near_copy_is_found_only_without_duplicates():
    """What the docstring warns of: the reference must be searched without its duplicates."""
    reference = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    sample = np.array([[0.01, 0.0]])
    assert memorized(*neighbors(sample, reference, 3)[:2]).all()
    assert not memorized(*neighbors(sample, np.repeat(reference, 2, axis=0), 3)[:2]).any()


@pytest.mark.parametrize("n", [1, 50, 999, 1000, 1999, 2000, 5000])
@pytest.mark.parametrize("decimals", [1, 8])
def test_at_most_the_rate_of_the_background_exceeds_the_threshold(n, decimals):
    background = np.random.default_rng(n).uniform(size=n).round(decimals)
    t = calibrated_threshold(background)
    assert np.sum(background > t) / n <= 0.001
    assert np.sum(background > np.nextafter(t, -np.inf)) / n > 0.001  # the smallest such t


def test_one_of_a_thousand_may_exceed_the_threshold_and_ties_may_not():
    background = np.arange(1000) / 1000
    assert calibrated_threshold(background) == 0.998
    assert calibrated_threshold(background[::-1]) == 0.998
    assert calibrated_threshold(np.append(background[:998], [2.0, 2.0])) == 2
    assert calibrated_threshold(np.arange(100), rate=0.29) == 70  # though 0.29 * 100 < 29


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (7, 200)])
def test_the_interval_of_a_rate_inverts_the_binomial_tails(k, n):
    """Clopper-Pearson: at each end, what was seen or more extreme has probability 2.5 %."""

    def tail(q, ks):
        return sum(comb(n, i) * q**i * (1 - q) ** (n - i) for i in ks)

    value, low, high = rate(np.arange(n) < k)
    assert value == k / n
    assert low == 0 if k == 0 else tail(low, range(k, n + 1)) == pytest.approx(0.025)
    assert high == 1 if k == n else tail(high, range(k + 1)) == pytest.approx(0.025)


def test_no_copies_among_thousands_still_leave_an_upper_bound():
    assert rate(np.zeros(3000, bool))[2] == pytest.approx(0.00123, abs=1e-5)
    with pytest.raises(ValueError, match="boolean"):
        rate(np.zeros(3))
    with pytest.raises(ValueError, match="non-empty"):
        rate(np.zeros(0, bool))


def judged(similarity, background=None, paper_thresholds=(0.5, 0.95)):
    s = np.asarray(similarity, float)
    background = np.linspace(0, 0.6, 1000) if background is None else background
    d_1 = 1 - s
    found = copying(s, d_1, d_1 + 0.5, d_1 + 0.4, background, paper_thresholds, "pixels")
    return {m.metric: m for m in found}


def test_copying_names_every_measure():
    found = judged(np.linspace(0, 1, 200))
    assert list(found) == [
        "copy_rate:pixels",
        "copy_rate>0.5:pixels",
        "copy_rate>0.95:pixels",
        "nl2<1.4:pixels",
        "nl2<1.6:pixels",
        "memorization_ratio:pixels",
        "similarity_p95:pixels",
        "similarity_max:pixels",
        "nl2_top5%:pixels",
        "nl2_top1:pixels",
    ]
    assert all(m.n == 200 and m.status == "ok" for m in found.values())
    higher = [name for name, m in found.items() if m.better == "higher"]
    assert higher == ["nl2_top5%:pixels", "nl2_top1:pixels"]


def test_top5_and_top1_are_the_low_end_of_nl2():
    # AMG, tables 2 and 3: of 1,000 samples the 50th smallest nL2 and the smallest.
    rng = np.random.default_rng(0)
    d_1 = rng.uniform(0.1, 1, 1000)
    found = {
        m.metric: m
        for m in copying(1 - d_1, d_1, d_1 + 1, np.ones(1000), rng.uniform(size=99), [], "pixels")
    }
    top5, top1 = found["nl2_top5%:pixels"], found["nl2_top1:pixels"]
    assert top1.value == pytest.approx(2 * d_1.min())
    assert np.isnan(top1.ci_low)
    ranked = np.sort(2 * d_1)
    assert ranked[48] <= top5.value <= ranked[51]
    assert ranked[30] < top5.ci_low < top5.value < top5.ci_high < ranked[70]


def test_copying_counts_what_lies_strictly_above_each_threshold():
    s = np.array([0.1, 0.5, 0.5001, 0.95, 0.96, 1.0])
    found = judged(s, background=np.full(1000, 0.96))
    assert found["copy_rate>0.5:pixels"].value == pytest.approx(4 / 6)
    assert found["copy_rate>0.95:pixels"].value == pytest.approx(2 / 6)
    assert found["copy_rate:pixels"].value == pytest.approx(1 / 6)
    assert "0.96, which 0 of 1000 held-out images exceed" in found["copy_rate:pixels"].note
    d_1 = 1 - s
    assert found["nl2<1.4:pixels"].value == np.mean(d_1 / (0.5 * (d_1 + 0.4)) < 1.4)
    assert found["memorization_ratio:pixels"].value == np.mean(d_1 / (d_1 + 0.5) < 1 / 3)
    assert found["similarity_max:pixels"].value == 1
    assert np.isnan(found["similarity_max:pixels"].ci_low)
    assert found["similarity_max:pixels"].note


def test_all_copies_and_no_copies_come_out_as_such():
    for s, value in ((np.ones(100), 1), (np.zeros(100), 0)):
        found = judged(s)
        for name in ("copy_rate", "copy_rate>0.5", "nl2<1.4", "memorization_ratio"):
            measure = found[f"{name}:pixels"]
            expected = value if name != "nl2<1.4" else measure.value
            assert measure.value == expected
            assert measure.ci_low < measure.ci_high


def test_images_like_the_background_are_copies_at_the_rate_of_the_background():
    rng = np.random.default_rng(0)
    found = judged(rng.uniform(size=20_000), rng.uniform(size=20_000))
    measure = found["copy_rate:pixels"]
    assert measure.ci_low < 0.001 < measure.ci_high


def test_the_interval_of_the_percentile_covers_it():
    rng, repeats = np.random.default_rng(1), 150
    hits = sum(
        m.ci_low <= 0.95 <= m.ci_high
        for m in (judged(rng.uniform(size=150))["similarity_p95:pixels"] for _ in range(repeats))
    )
    assert hits >= binom.ppf(0.001, repeats, 0.95)
    assert hits < repeats


def test_the_interval_of_the_percentile_ends_at_order_statistics():
    s = np.random.default_rng(2).uniform(size=200)
    measure = judged(s)["similarity_p95:pixels"]
    r = np.sort(s)
    low, high = np.searchsorted(r, [measure.ci_low, measure.ci_high]) + 1
    assert r[low - 1] == measure.ci_low
    assert r[high - 1] == measure.ci_high
    assert binom.cdf(low - 1, 200, 0.95) <= 0.025 < binom.cdf(low, 200, 0.95)
    assert binom.sf(high - 1, 200, 0.95) <= 0.025 < binom.sf(high - 2, 200, 0.95)
    assert judged(s[:30])["similarity_p95:pixels"].ci_high == 1  # too few for an upper one


def test_copying_refuses_arrays_that_do_not_belong_together():
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(ValueError, match=r"runner_up is \(1,\)"):
        copying(two, two, one, two, two, [], "pixels")
    with pytest.raises(ValueError, match="similarity holds 1 NaN"):
        copying(np.array([1, np.nan]), two, two, two, two, [], "pixels")


@pytest.mark.parametrize(
    ("measure", "similarities"),
    [("cosine", [-1, 0, 0.9, 1]), ("rms", [0, 0.5, 0.94, 1]), ("l2", [-7.5, -0.25, 0])],
)
def test_the_distance_at_a_similarity_has_that_similarity(measure, similarities):
    distances = np.array([distance_at(s, measure) for s in similarities])
    np.testing.assert_allclose(from_distance(distances, measure), similarities, atol=1e-12)
    assert distances[-1] == 0
    assert (np.diff(distances) < 0).all()


@pytest.mark.parametrize(
    ("measure", "similarity"), [("cosine", 1.01), ("cosine", -1.01), ("rms", 1.01), ("l2", 0.01)]
)
def test_no_distance_is_more_alike_than_identical(measure, similarity):
    with pytest.raises(ValueError, match="no distance has the similarity"):
        distance_at(similarity, measure)


def test_the_tops_are_means_of_the_most_similar_and_fall_with_their_share():
    s = np.random.default_rng(3).uniform(size=999)
    found = {row.metric: row for row in tops(s, "sscd", np.random.default_rng(0))}
    assert list(found) == [
        f"similarity_top{share}%:sscd" for share in ("0.1", "0.5", "1", "5", "10")
    ]
    for share, k in (("0.1", 1), ("0.5", 5), ("1", 10), ("5", 50), ("10", 100)):
        row = found[f"similarity_top{share}%:sscd"]
        assert row.value == pytest.approx(sorted(s)[-k:] @ np.full(k, 1 / k))
        assert row.ci_low <= row.value <= row.ci_high
    values = [row.value for row in found.values()]
    assert values == sorted(values, reverse=True)
    assert found["similarity_top5%:sscd"].value > np.quantile(s, 0.95)  # a mean, not a quantile
