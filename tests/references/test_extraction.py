"""AMS and UMS against enumeration, Appendix B of SIDE, its own table, and simulations."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom

from leakboard.measures import extraction as ex
from leakboard.measures import grid
from leakboard.measures.measure import binomial

BACKGROUND = np.linspace(0, 0.7, 1000)  # at 0.001 the threshold is the last but one: 0.6993


def table(similarity, neighbor=None):
    s = np.asarray(similarity, float)
    return {"similarity": s, "neighbor": np.arange(s.size) if neighbor is None else neighbor}


def drawn(p, n, rng, hit=0.9):
    """Pictures that copy member j with chance p[j], and are strangers otherwise."""
    which = rng.choice(len(p) + 1, n, p=[*p, 1 - sum(p)])
    return table(np.where(which < len(p), hit, 0.1), which)


def judged(t, members=1000, **more):
    found = ex.extraction(
        t, BACKGROUND, members=members, extractor="sscd", calibration=0.001, **more
    )
    return {m.metric: m for m in found}


def over(tables, members=1000, **more):
    found = grid.family(
        tables, BACKGROUND, members=members, extractor="sscd", calibration=0.001, **more
    )
    return {m.metric: m for m in found}


# --- bands ---------------------------------------------------------------------------------------


def test_bands_neither_overlap_nor_leave_a_gap():
    # T21: each edge belongs to the band that it opens.
    s = np.array([0.40, 0.45, 0.50, 0.55, 0.60, 0.65])
    assert [int(ex.in_band(s, band).sum()) for band in ex.BANDS.values()] == [2, 2, 2]
    found = judged(table(s))
    for band in ("low", "mid", "high"):
        assert found[f"ams:{band}:sscd"].value == found[f"ums:{band}:sscd"].value == 2 / 6


def test_a_band_up_to_identical_holds_what_rounds_to_more():
    s = np.array([0.999, 1.0, 1.0 + 1e-7])
    assert ex.in_band(s, (0.6, 1.0)).all()
    assert ex.in_band(s, (0.6, 0.999)).sum() == 0


def test_a_copy_lies_strictly_above_the_threshold():
    t = ex.calibrated_threshold(BACKGROUND, 0.001)
    found = judged(table([t, np.nextafter(t, 1), 0.2, 1.0]), bands={})
    assert list(found) == ["ams:copy:sscd", "ums:copy:sscd", "ums:copy:sscd:half"]
    assert found["ams:copy:sscd"].value == 0.5


def test_the_notes_hold_the_counts():
    found = judged(table([0.9, 0.9, 0.9, 0.1], [7, 7, 8, 9]), members=100)
    assert found["ams:high:sscd"].note == "3 of 4 pictures"
    note = "2 of 100 members in 4 pictures; compare at equal N only"
    assert found["ums:high:sscd"].note == note
    assert all((m.unit, m.better) == ("share", "lower") for m in found.values())
    assert all(m.n == (2 if name.endswith("half") else 4) for name, m in found.items())


def test_the_ums_of_half_as_many_pictures_is_the_mean_over_all_halves():
    nearest = np.array([7, 7, 7, 8, 9, 9])
    found = judged(table(np.where(nearest < 9, 0.9, 0.1), nearest), members=100)
    halves = [set(nearest[list(rows)]) - {9} for rows in combinations(range(6), 3)]
    assert found["ums:high:sscd:half"].value == pytest.approx(np.mean([len(h) / 3 for h in halves]))
    assert found["ums:high:sscd:half"].value > found["ums:high:sscd"].value  # it falls with N


def test_only_the_nearest_member_of_each_picture_counts():
    rng = np.random.default_rng(0)
    for _ in range(60):
        n, m = rng.integers(1, 40), rng.integers(1, 20)
        s, nearest = rng.uniform(0.3, 1, n), rng.integers(m, size=n)
        found = judged(table(s, nearest), members=int(m))
        for band in ("low", "mid", "high", "copy"):
            ams, ums = found[f"ams:{band}:sscd"], found[f"ums:{band}:sscd"]
            assert ums.value <= ams.value
            assert (ums.value == 0) == (ams.value == 0)
            assert 0 <= ums.ci_low <= ums.value <= ums.ci_high <= 1
        high = {j for j, x in zip(nearest, s, strict=True) if x >= 0.6}
        assert found["ums:high:sscd"].value == len(high) / n


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"bands": {"none": (0.5, 0.5)}}, "goes up"),
        ({"bands": {"copy": (0.5, 1.0)}}, "rename"),
        ({"members": 1}, "2 unique members among 1"),
        ({"random": table([0.1]), "rng": np.random.default_rng(0)}, "cannot be paired with 1"),
        ({"random": table([0.1, 0.9])}, "give rng"),
    ],
)
def test_what_does_not_fit_is_refused(bad, words):
    with pytest.raises(ValueError, match=words):
        judged(table([0.9, 0.8]), **bad)


@pytest.mark.parametrize("neighbor", [np.arange(3), np.array([0.0, 1.0]), np.array([-1, 0])])
def test_a_neighbor_is_one_number_of_an_image(neighbor):
    with pytest.raises(ValueError, match="neighbor is"):
        judged(table([0.9, 0.8], neighbor))


# --- intervals -----------------------------------------------------------------------------------


def test_the_interval_of_ams_is_the_exact_one_of_a_share():
    ams = judged(table([0.9] * 17 + [0.1] * 483))["ams:high:sscd"]
    assert (ams.value, ams.ci_low, ams.ci_high) == binomial(17, 500)


CHANCES = {
    "equal": np.full(40, 0.01),
    "falling": 0.5 * 0.8 ** np.arange(30) / np.sum(0.8 ** np.arange(30)),
    "one and many": np.array([0.3, *np.full(200, 0.001)]),
    "rare": np.full(1000, 2e-5),
    "most": np.full(10, 0.09),
    "never": np.zeros(50),
}


@pytest.mark.parametrize("n", [1, 10, 60, 500, 5000])
@pytest.mark.parametrize("name", CHANCES)
def test_the_interval_of_ums_covers_its_expectation(name, n):
    p, rng = CHANCES[name], np.random.default_rng([n, len(name)])
    counts = rng.multinomial(n, [*p, 1 - p.sum()], size=2000)[:, :-1]
    truth = ex.expected(p, n)[1]
    covered = 0
    for u, times in Counter((counts > 0).sum(1).tolist()).items():
        _, low, high = ex.ums(u, n, p.size)
        covered += times * (low - 1e-12 <= truth <= high + 1e-12)
    assert covered / 2000 >= 0.95


def test_the_interval_of_ums_knows_how_many_members_there_are():
    assert ex.ums(20, 5000, 20)[2] == 20 / 5000  # all found: there are no more
    assert ex.ums(20, 5000, 10_000)[2] > 28 / 5000
    assert ex.ums(0, 100, 1000)[1:] == (0.0, pytest.approx(0.0368, abs=1e-4))


# --- Appendix B ----------------------------------------------------------------------------------


def test_expected_scores_are_those_of_appendix_b():
    p = np.array([0.2, 0.05, 0.001, 0.0])
    ams, ums = ex.expected(p, 30)
    assert ams == pytest.approx(0.251)
    assert ums == pytest.approx(np.mean(1 - (1 - p) ** 30) * 4 / 30)
    assert ex.expected(np.array([1.0]), 5) == (1, pytest.approx(0.2))
    tiny = ex.expected(np.full(10, 1e-18), 10)[1]
    assert tiny == pytest.approx(1e-17, rel=1e-6)  # 1 - (1 - p)^n would be 0
    with pytest.raises(ValueError, match="sum to 1"):
        ex.expected(np.array([0.6, 0.6]), 5)


def test_pictures_drawn_with_known_chances_score_as_expected():
    p, rng = CHANCES["falling"], np.random.default_rng(3)
    runs = [judged(drawn(p, 200, rng), bands={}) for _ in range(80)]
    for which, truth in zip(("ams", "ums"), ex.expected(p, 200), strict=True):
        values = np.array([run[f"{which}:copy:sscd"].value for run in runs])
        assert abs(values.mean() - truth) < 3.5 * values.std() / np.sqrt(80)


@pytest.mark.parametrize("n", range(1, 9))
def test_rarefaction_is_the_mean_over_all_subsets(n):
    t = table([0.9, 0.9, 0.9, 0.7, 0.7, 0.1, 0.2, 0.65], [3, 3, 3, 1, 1, 4, 4, 9])
    of_all = [
        len({t["neighbor"][i] for i in some if t["similarity"][i] >= 0.6}) / n
        for some in combinations(range(8), n)
    ]
    assert ex.predicted_ums(t, (0.6, 1.0), n) == pytest.approx(np.mean(of_all), abs=1e-12)


def test_rarefaction_follows_the_curve_of_appendix_b():
    p, rng = CHANCES["falling"], np.random.default_rng(0)
    t = drawn(p, 100_000, rng)
    for n in (1, 10, 100, 1000):
        assert ex.predicted_ums(t, (0.6, 1.0), n) == pytest.approx(ex.expected(p, n)[1], rel=0.03)
    assert ex.predicted_ums(t, (0.99, 1.0), 10) == 0
    with pytest.raises(ValueError, match="cannot draw 100001 of 100000"):
        ex.predicted_ums(t, (0.6, 1.0), 100_001)


def test_sets_of_different_size_are_alike_at_equal_n():
    p, rng = np.full(30, 0.01), np.random.default_rng(1)
    few, many = drawn(p, 300, rng), drawn(p, 6000, rng)
    small, large = (judged(t, bands={})["ums:copy:sscd"].value for t in (few, many))
    assert large < small / 5  # which says nothing of the model
    assert ex.predicted_ums(many, (0.6, 1.0), 300) == pytest.approx(small, rel=0.1)


# --- against plain pictures ----------------------------------------------------------------------


def test_more_copies_than_plain_pictures_have_a_small_p_and_fewer_a_large_one():
    rng = np.random.default_rng(0)
    more, fewer = drawn(np.full(50, 0.01), 300, rng), drawn(np.full(50, 0.002), 300, rng)
    one = judged(more, random=fewer, rng=rng)
    other = judged(fewer, random=more, rng=rng)
    for which in ("ams", "ums"):
        name = f"{which}_vs_random_p:high:sscd"
        assert one[name].value < 0.01
        assert other[name].value > 0.99
        assert (one[name].n, one[name].unit, one[name].better) == (600, "p", "")


def test_copies_of_one_member_alone_are_more_pictures_but_not_more_members():
    rng = np.random.default_rng(0)
    plain = drawn(np.full(50, 0.001), 300, rng)
    stuck = table(np.where(np.arange(300) < 100, 0.9, 0.1), np.zeros(300, int))
    found = judged(stuck, random=plain, rng=rng)
    assert found["ams_vs_random_p:high:sscd"].value < 0.001
    assert found["ums_vs_random_p:high:sscd"].value > 0.9


def test_the_swap_test_counts_every_exchange():
    """Against all 2^n exchanges of a small set, on which its p converges."""
    a, b = np.array([1, 2, 3, 4, 4, -1]), np.array([1, 1, 5, 4, -1, -1])

    def gap(swaps):
        x, y = np.where(swaps, b, a), np.where(swaps, a, b)
        return len(set(x) - {-1}) - len(set(y) - {-1})

    all_ = [gap(np.array(list(np.binary_repr(i, 6))) == "1") for i in range(64)]
    exact = np.mean(np.array(all_) >= gap(np.zeros(6, bool)))
    # Numbers of pictures that are no hits do not matter.
    sides = a >= 0, np.where(a < 0, 3, a), b >= 0, np.where(b < 0, 2, b)
    found = ex.swap_test(*sides, np.random.default_rng(0), 9999)
    assert found.statistic == gap(np.zeros(6, bool)) / 6
    assert found.p == pytest.approx(exact, abs=0.02)
    assert ex.swap_test(*sides[:2], *sides[:2], np.random.default_rng(0), 9).p == 1


# --- the grid ------------------------------------------------------------------------------------

# SIDE, Appendix D: CelebA-HQ-FI, mid similarity, in %. lambda -> (AMS, UMS)
PAPER = {
    4: (0.850, 0.390),
    5: (0.952, 0.436),
    6: (1.092, 0.414),
    7: (1.110, 0.446),
    8: (1.148, 0.444),
    9: (1.274, 0.478),
    10: (1.338, 0.444),
}


def test_the_mean_over_five_to_nine_is_that_of_the_paper_s_table_1():
    for i, printed in enumerate((1.1152, 0.4436)):
        values = {strength: row[i] for strength, row in PAPER.items()}
        assert grid.average(values, (5, 9)) == pytest.approx(printed, abs=1e-9)
        assert grid.average(values) != pytest.approx(printed, abs=1e-3)
    with pytest.raises(ValueError, match="no lambda > 0 in"):
        grid.average({0: 1.0, 3: 1.0}, (5, 9))


def test_a_grid_gives_the_mean_of_its_tables_and_leaves_plain_drawing_out():
    rng = np.random.default_rng(0)
    tables = {s: drawn(np.full(30, 0.01), 100, rng) for s in (0, 5, 7, 12)}
    alone = {s: judged(t) for s, t in tables.items()}
    for averaged, used in ((None, (5, 7, 12)), ((5, 9), (5, 7))):
        found = over(tables, averaged=averaged)
        for which in ("ams", "ums"):
            mean = found[f"{which}:high:sscd:mean"]
            values = [alone[s][f"{which}:high:sscd"].value for s in used]
            assert mean.value == pytest.approx(np.mean(values))
            assert mean.note.startswith(f"mean over lambda = {', '.join(map(str, used))}, 100 ")
        assert np.isnan(found["ums:high:sscd:mean"].ci_low)
        assert "no interval" in found["ums:high:sscd:mean"].note


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("p", [0.0, 0.005, 0.1, 1.0])
def test_the_interval_of_a_mean_over_lambdas_covers_it(p, rho):
    """rho: the chance that a picture of one noise comes out the same at every lambda."""
    rng, covered, widths = np.random.default_rng(0), 0, []
    for _ in range(300):
        own, shared = rng.random((5, 200)) < p, rng.random(200) < p
        hits = np.where(rng.random(200) < rho, shared, own)
        _, low, high = grid.mean_share(hits)
        covered += low <= p <= high
        widths.append(high - low)
    assert covered >= binom.ppf(0.001, 300, 0.95)
    _, low, high = binomial(round(200 * p), 200)
    ratio = np.mean(widths) / (high - low)  # of lambdas that differ there is more to learn
    assert ratio < {0.0: 0.6, 0.5: 0.95, 1.0: 1.1}[rho] or p in (0, 0.005, 1)


def test_the_best_lambda_is_chosen_on_one_half_and_reported_on_the_other():
    good, bad = np.full(10, 0.9), np.full(10, 0.1)
    tables = {
        2: table(np.r_[bad, good]),
        4: table(np.r_[good, bad]),
        8: table(np.r_[good, 0.9, bad[1:]]),
    }
    found = over(tables, random=table(np.r_[bad, good]), rng=np.random.default_rng(0))
    best = found["ams:high:sscd:best"]
    assert best.note.startswith(
        "lambda = 4, chosen on the other half; 0 of 10"
    )  # a tie: 4 before 8
    assert (best.value, best.n) == (0, 10)
    assert found["ams:high:sscd:best-random"].value == 1
    assert found["ums:high:sscd:best-random"].n == 10
    assert found["ams_vs_random_p:high:sscd:best"].value == 1
    assert found["ums_vs_random_p:high:sscd:best"].value > 0.99
    tables[8]["neighbor"], tables[4]["neighbor"] = np.arange(20), np.zeros(20, int)
    assert over(tables)["ams:high:sscd:best"].note.startswith("lambda = 8")  # by unique members


def test_the_best_of_twenty_is_no_better_where_there_is_nothing_to_choose():
    # T15: chosen and reported on the same pictures it would look twice as good.
    rng, p, runs = np.random.default_rng(5), np.full(20, 0.002), 150
    honest, naive, plain, p_values = [], [], [], []
    for _ in range(runs):
        tables = {float(s): drawn(p, 200, rng) for s in range(1, 21)}
        found = over(tables, bands={}, random=drawn(p, 200, rng), rng=rng, permutations=39)
        honest.append([found[f"{w}:copy:sscd:best"].value for w in ("ams", "ums")])
        plain.append([found[f"{w}:copy:sscd:best-random"].value for w in ("ams", "ums")])
        p_values.append([found[f"{w}_vs_random_p:copy:sscd:best"].value for w in ("ams", "ums")])
        naive.append(max(np.mean(t["similarity"] > 0.8) for t in tables.values()))
    truth = np.array(ex.expected(p, 100))
    for values in (np.array(honest), np.array(plain)):
        error = values.std(0) / np.sqrt(runs)
        assert (abs(values.mean(0) - truth) < 3.5 * error).all()
    assert np.mean(naive) > 1.5 * truth[0]
    rejected = (np.array(p_values) <= 0.05).sum(0)
    assert (rejected <= binom.ppf(0.995, runs, 0.05)).all()


def test_a_lambda_that_helps_is_found():
    rng = np.random.default_rng(0)
    tables = {s: drawn(np.full(50, 0.001 * s), 600, rng) for s in (1, 4, 2)}
    found = over(tables, random=drawn(np.full(50, 0.001), 600, rng), rng=rng)
    assert found["ams:copy:sscd:best"].note.startswith("lambda = 4")
    for which in ("ams", "ums"):
        assert found[f"{which}_vs_random_p:copy:sscd:best"].value < 0.01


def test_a_grid_of_unequal_sizes_is_refused():
    one, two, three = (table(np.full(n, 0.9)) for n in (1, 2, 3))
    with pytest.raises(ValueError, match=r"'lambda = 1': 2, 'lambda = 2': 3"):
        over({1: two, 2: three})
    with pytest.raises(ValueError, match="'plain': 3"):
        over({1: two}, random=three, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="two or more"):
        over({1: one})
    with pytest.raises(ValueError, match="no lambda > 0"):
        over({0: two})


# --- what filtering found ------------------------------------------------------------------------


def test_filtering_is_judged_by_members_per_draw_and_by_precision():
    t = table([0.9, 0.9, 0.95, 0.3, 0.8], [4, 4, 6, 1, 2])
    extracted, precision = ex.filtered(t, [0, 1, 2, 3], 0.8, members=50, extractor="sscd")
    assert (extracted.metric, precision.metric) == ("extracted:sscd", "precision:sscd")
    assert (extracted.value, extracted.n) == (2 / 5, 5)
    assert (extracted.value, extracted.ci_low, extracted.ci_high) == ex.ums(2, 5, 50)
    assert extracted.note == "2 members of 50 from 5 draws"
    assert (precision.value, precision.ci_low, precision.ci_high) == binomial(3, 4)
    assert precision.n == 4


def test_nothing_kept_is_nothing_extracted_and_no_precision():
    extracted, precision = ex.filtered(table([0.9]), [], 0.8, members=5, extractor="sscd")
    assert extracted.value == 0
    assert np.isnan(precision.value)
    assert (precision.status, precision.note) == ("unresolved", "nothing was kept")
    for kept in ([1], [-1], [0, 0]):
        with pytest.raises(ValueError, match="different rows of 1"):
            ex.filtered(table([0.9]), kept, 0.8, members=5, extractor="sscd")
