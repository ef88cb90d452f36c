"""With no effect every p is uniform, or valid where it is exact; every interval covers as it says.

Simulations with fixed seeds. `covered` counts how often an interval of 95 % holds the truth. Where
one is known to cover less, the test says how much; exact ones, of discrete numbers, cover more.
"""

from collections.abc import Iterable
from functools import partial

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import binom, kstest, multinomial

from leakboard.measures import copying, screening, similarity, tests, theory
from leakboard.measures.bootstrap import Resamples, auc_interval
from leakboard.measures.comparison import all_leaks, copies, difference, leak
from leakboard.measures.extraction import swap_test, ums, versus
from leakboard.measures.grid import family, mean_share
from leakboard.measures.measure import binomial
from leakboard.measures.membership import asr_interval, membership, roc_band

SQRT2 = 2**0.5
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5)


def is_uniform(p: Iterable[float]) -> bool:
    return kstest(list(p), "uniform").pvalue > 0.005


def is_valid(p: Iterable[float]) -> bool:
    """P(p <= a) <= a at several a, but for what simulation gives one time in a thousand."""
    drawn = np.array(list(p))
    return all((drawn <= a).sum() <= binom.isf(0.001, drawn.size, a) for a in LEVELS)


def covered(inside: Iterable[bool]) -> float:
    return float(np.mean(list(inside)))


def nominal(share: float, repeats: int) -> bool:
    """Whether a share of covered truths is 95 %, but for what simulation gives twice in 1000."""
    low, high = binom.ppf([0.001, 0.999], repeats, 0.95) / repeats
    return bool(low <= share <= high)


def at_least_nominal(share: float, repeats: int) -> bool:
    return bool(share >= binom.ppf(0.001, repeats, 0.95) / repeats)


# --- p values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_the_p_of_the_z_test_is_uniform(law):
    rng = np.random.default_rng(0)
    draw = partial(rng.normal if law == "normal" else rng.exponential, 1.0)
    assert is_uniform(tests.z_test(draw(size=150), draw(size=500)).p for _ in range(2000))


@pytest.mark.parametrize("rate", [0.004, 0.05, 0.5])
def test_the_p_of_fishers_test_is_valid(rate):
    rng = np.random.default_rng(1)
    counts = rng.binomial([[300], [500]], rate, size=(2, 1000))
    assert is_valid(tests.fisher(a, 300, b, 500).p for a, b in counts.T)


def paired_copies(rng, n, alone, both):
    """Two vectors of copies from the same noise, each with `alone` + `both` of them: no effect."""
    counts = rng.multinomial(n, [alone, alone, both, 1 - 2 * alone - both])
    return (np.repeat(np.array(x, dtype=bool), counts) for x in ((1, 0, 1, 0), (0, 1, 1, 0)))


@pytest.mark.parametrize("alone", [0.002, 0.05, 0.3])
def test_the_ps_of_paired_copies_are_valid_one_sided_and_two_sided(alone):
    rng = np.random.default_rng(2)
    pairs = [tuple(paired_copies(rng, 250, alone, 0.1)) for _ in range(1500)]
    assert is_valid(tests.mcnemar(a, b).p for a, b in pairs)
    assert is_valid(copies(a, b).p for a, b in pairs)


def test_the_p_of_the_log_rank_test_is_uniform():
    rng = np.random.default_rng(3)
    drawn = (rng.uniform(size=(2, 200)) for _ in range(300))
    assert is_uniform(tests.logrank(a, b, 0.7).p for a, b in drawn)


@pytest.mark.parametrize("repeat", [False, True])
def test_the_ps_of_permuted_images_are_valid_and_without_ties_uniform(repeat):
    """Pictures as near to members as to others; `repeat` draws copies of few of all images."""
    found = {"permutation_p:toy": [], "permutation_mean_p:toy": []}
    how = {"extractor": "toy", "measure": "l2", "permutations": 99, "subsample": 20}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        audited, trained = rng.normal(size=(80, 3)), rng.permutation(np.arange(80) < 30)
        drawn = audited[rng.integers(3, size=40)] if repeat else rng.normal(size=(40, 3))
        for row in copying.permuted(drawn, audited, trained, rng, **how):
            if row.metric in found:
                found[row.metric].append(row.value)
    assert all(map(is_valid, found.values()))
    smoothed = (
        np.array(found["permutation_mean_p:toy"]) - np.random.default_rng(0).uniform(size=200) / 100
    )
    assert repeat or is_uniform(smoothed)


def nearest(rng, n, members=60, hit=0.3):
    """A neighbor table of n pictures, a share `hit` of which copies one of some members."""
    s = np.where(rng.uniform(size=n) < hit, 0.9, 0.1)
    return {"similarity": s, "neighbor": rng.integers(members, size=n) ** 2 // members}


def test_the_p_of_swapped_pairs_is_valid():
    p = []
    for seed in range(250):
        rng = np.random.default_rng(seed)
        a, b = nearest(rng, 80), nearest(rng, 80)
        hits = [t["similarity"] > 0.5 for t in (a, b)]
        p.append(swap_test(hits[0], a["neighbor"], hits[1], b["neighbor"], rng, 99).p)
        both = versus(tuple(hits), (a["neighbor"], b["neighbor"]), rng, 99, "toy")
        assert [row.metric[:3] for row in both] == ["ams", "ums"]
    assert is_valid(p)
    assert np.mean(np.array(p) <= 0.5) > 0.3  # not by never being small


def test_the_ps_of_the_best_strength_are_valid_for_it_is_chosen_on_other_pictures():
    """Nine strengths that do nothing: chosen and told on the same pictures, half would win."""
    found: dict[str, list[float]] = {}
    background = np.linspace(0, 0.5, 1000)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        grid = {float(s): nearest(rng, 120) for s in range(1, 10)}
        rows = family(
            grid,
            background,
            members=60,
            extractor="toy",
            calibration=0.001,
            bands={},
            random=nearest(rng, 120),
            rng=rng,
            permutations=49,
        )
        for row in rows:
            if "_p:" in row.metric:
                found.setdefault(row.metric, []).append(row.value)
    assert sorted(found) == ["ams_vs_random_p:copy:toy:best", "ums_vs_random_p:copy:toy:best"]
    assert all(map(is_valid, found.values()))


def drawn_scores(rng, aucs, members, common=0.0):
    """One vector of normal scores for each AUC; a share `common` of the variance in all of them."""
    shared = rng.normal(size=members.size)
    own = rng.normal(size=(len(aucs), members.size))
    shifts = SQRT2 * ndtri(np.array(aucs))
    scores = np.sqrt(common) * shared + np.sqrt(1 - common) * own + shifts[:, None] * members
    return {f"{i}": [one] for i, one in enumerate(scores)}


def compared(aucs_a, aucs_b, n_m=150, n_s=450, repeats=250, seed=0, common=0.0):
    rng = np.random.default_rng(seed)
    members = np.arange(n_m + n_s) < n_m
    resamples = Resamples(members, rng, 300)
    for _ in range(repeats):
        one, two = (drawn_scores(rng, aucs, members, common) for aucs in (aucs_a, aucs_b))
        yield difference(leak(one, members, resamples), leak(two, members, resamples))


def test_the_p_of_two_equal_leaks_is_uniform():
    assert is_uniform(each.p for each in compared([0.8], [0.8]))
    assert is_uniform(each.p for each in compared([0.8, 0.6, 0.5], [0.8, 0.6, 0.5], seed=1))


@pytest.mark.parametrize(
    ("aucs_a", "aucs_b", "common"),
    [
        ([0.5], [0.5], 0.0),
        ([0.5] * 10, [0.5] * 10, 0.5),
        ([0.5] * 10, [0.5], 0.0),  # ten chances to look bad against one
        ([0.8] * 10, [0.8], 0.0),
        ([0.8] * 4, [0.8] * 4, 0.5),
        ([0.97] * 3, [0.97] * 3, 0.5),
    ],
)
def test_the_p_of_equal_leaks_is_valid_whatever_the_attacks(aucs_a, aucs_b, common):
    assert is_valid(each.p for each in compared(aucs_a, aucs_b, common=common))


def test_all_pairs_of_defenses_that_know_nothing_rarely_differ():
    rng, members = np.random.default_rng(5), np.arange(400) < 200
    resamples = Resamples(members, rng, 300)
    cells = {str(i): drawn_scores(rng, [0.5] * 3, members) for i in range(20)}
    _, pairs = all_leaks(cells, members, resamples)
    assert len(pairs) == 190
    assert np.mean([pair.p <= 0.05 for pair in pairs.values()]) < 0.05


# --- intervals of leaks and attacks --------------------------------------------------------------


@pytest.mark.parametrize(
    ("aucs_a", "aucs_b", "least"),
    [
        ([0.8], [0.7], 0.95),
        ([0.95, 0.7], [0.6, 0.6], 0.95),
        ([0.9] + [0.6] * 9, [0.5] * 10, 0.95),  # undefended, and a defense that leaves nothing
        ([0.7, 0.75, 0.8] * 3, [0.5] * 9, 0.92),  # several near the worst: it is too high
        ([0.57], [0.5], 0.90),  # a leak of the size of its noise
    ],
)
def test_the_interval_of_a_difference_of_leaks_covers(aucs_a, aucs_b, least):
    truth = max(aucs_a) - max(aucs_b)
    inside = [c.ci_low <= truth <= c.ci_high for c in compared(aucs_a, aucs_b)]
    assert covered(inside) >= least - 3.1 * np.sqrt(least * (1 - least) / len(inside))


def intervals(interval, auc, n_m, n_s, repeats, seed=0):
    """(low, high) of `interval(scores, members, resamples)`, of normal scores with this AUC."""
    rng = np.random.default_rng(seed)
    members = np.arange(n_m + n_s) < n_m
    resamples = Resamples(members, rng, 1000)
    for _ in range(repeats):
        (scores,) = drawn_scores(rng, [auc], members)["0"]
        yield interval(scores, members, resamples)[1:]


@pytest.mark.parametrize(
    ("n_m", "n_s", "auc", "covers"),
    [
        (50, 500, 0.5, 0.95),
        (50, 500, 0.78, 0.95),
        (50, 500, 0.95, 0.93),
        (50, 500, 0.99, 0.90),  # few of 50 members are outdone: their spread is hardly known
        (500, 500, 0.5, 0.95),
        (500, 500, 0.78, 0.95),
        (500, 500, 0.95, 0.95),
        (500, 500, 0.99, 0.94),
    ],
)
def test_the_interval_of_an_auc_covers(n_m, n_s, auc, covers):
    """A percentile interval, without the logit scale, covers 85 % in the fourth case."""
    repeats = 600
    found = covered(
        low <= auc <= high for low, high in intervals(auc_interval, auc, n_m, n_s, repeats)
    )
    low, high = binom.ppf([0.001, 0.999], repeats, covers) / repeats
    assert low <= found <= high


@pytest.mark.parametrize("n_m", [50, 500])
@pytest.mark.parametrize("auc", [0.5, 0.7, 0.92, 0.99])
@pytest.mark.parametrize("fpr", [0.01, 0.1])
def test_the_band_of_a_roc_covers_at_least_as_often_as_it_says(n_m, auc, fpr):
    rng = np.random.default_rng(0)

    def band(scores, members, _):
        return [x[0] for x in roc_band(scores, members, [fpr], rng, draws=1000)]

    truth = ndtr(SQRT2 * ndtri(auc) + ndtri(fpr))
    inside = [low <= truth <= high for low, high in intervals(band, auc, n_m, 500, 300)]
    assert at_least_nominal(covered(inside), 300)


def test_the_band_of_scores_with_ties_covers_nearly_as_often():
    """Whole numbers, and a rate of 5 % where accepting one more of them makes 4.7 %: the best rule
    is known only as far as that is, and the TPR jumps. Away from such an edge nothing is lost."""
    rng, members = np.random.default_rng(0), np.arange(1000) < 500
    law = binom(10, 0.3), binom(10, 0.5)  # strangers, members
    inside = []
    for _ in range(300):
        scores = np.where(
            members, law[1].rvs(1000, random_state=rng), law[0].rvs(1000, random_state=rng)
        )
        _, low, high = roc_band(scores, members, [0.05, 0.2], rng, draws=1000)
        accepts = [next(t for t in range(12) if law[0].sf(t - 1) <= f) for f in (0.05, 0.2)]
        truth = law[1].sf(np.array(accepts) - 1)
        inside.append((low <= truth) & (truth <= high))
    edge, away = np.mean(inside, axis=0)
    assert edge >= 0.90 - 3.1 * np.sqrt(0.9 * 0.1 / 300)
    assert at_least_nominal(away, 300)


@pytest.mark.parametrize(
    ("n_m", "n_s", "auc", "covers"),
    [
        (50, 500, 0.5, 0.86),
        (50, 500, 0.8, 0.88),
        (50, 500, 0.99, 0.76),
        (500, 500, 0.5, 0.86),
        (500, 500, 0.8, 0.93),
        (500, 500, 0.99, 0.88),
    ],
)
def test_the_interval_of_the_optimistic_asr_covers_less_than_it_says(n_m, n_s, auc, covers):
    """And without mirroring hardly at all: 1 % of the first and fourth, 80 % of the fifth."""
    truth = ndtr(ndtri(auc) / SQRT2)
    found = covered(
        low <= truth <= high for low, high in intervals(asr_interval, auc, n_m, n_s, 250)
    )
    assert found == pytest.approx(covers, abs=3.1 * np.sqrt(covers * (1 - covers) / 250))


def test_the_intervals_at_the_dev_threshold_cover():
    """What an attacker with that threshold really gets: it was fixed on the other half."""
    rng, members = np.random.default_rng(0), np.arange(700) < 200
    resamples = Resamples(members, rng, 10)  # of no row that is looked at here
    dev_members = np.arange(700) < 200
    found: dict[str, list[bool]] = {}
    for _ in range(400):
        dev = rng.normal(size=700) + 1.5 * dev_members
        test = rng.normal(size=700) + 1.5 * members
        rows = {m.metric: m for m in membership((dev, dev_members), (test, members), resamples)}
        t = np.sort(dev[~dev_members])[-6]  # five of 500 strangers lie above
        tpr, fpr = ndtr(1.5 - t), ndtr(-t)
        steps = np.sort(dev)
        gain = [np.mean(dev[dev_members] >= s) - np.mean(dev[~dev_members] >= s) for s in steps]
        best = steps[len(steps) - 1 - int(np.argmax(gain[::-1]))]
        accuracy = (ndtr(1.5 - best) + 1 - ndtr(-best)) / 2
        truths = {
            "tpr@1%fpr:dev-threshold": tpr, "fpr:dev-threshold": fpr, "asr:dev-threshold": accuracy
        }  # fmt: skip
        for name, truth in truths.items():
            found.setdefault(name, []).append(rows[name].ci_low <= truth <= rows[name].ci_high)
    assert len(found) == 3
    for name, inside in found.items():
        assert at_least_nominal(covered(inside), 400), name


# --- intervals of copies -------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 20, 300])
def test_the_exact_interval_of_a_share_covers_for_every_share(n):
    """All outcomes, weighted by their chance: no simulation."""
    ends = np.array([binomial(count, n)[1:] for count in range(n + 1)])
    for share in np.linspace(0.001, 0.999, 200):
        inside = (ends[:, 0] <= share) & (share <= ends[:, 1])
        assert binom.pmf(np.arange(n + 1), n, share)[inside].sum() >= 0.95


@pytest.mark.parametrize(
    ("alone", "least"),
    [
        ((0.002, 0.002), 0.99),
        ((0.01, 0.01), 0.95),
        ((0.05, 0.05), 0.95),
        ((0.3, 0.3), 0.94),
        ((0.1, 0.02), 0.945),
        ((0.3, 0.05), 0.945),
        ((0.2, 0.001), 0.94),
        ((0.9, 0.01), 0.93),
    ],
)
def test_the_interval_of_a_difference_of_copy_rates_covers(alone, least):
    """All outcomes of 100 pictures, weighted by their chance: no simulation."""
    n, total = 100, 0.0
    law = multinomial(n, [*alone, 1 - sum(alone)])
    for only_a in range(n + 1):
        for only_b in range(n + 1 - only_a):
            rest = n - only_a - only_b
            chance = law.pmf([only_a, only_b, rest])
            if chance < 1e-7:
                continue
            a, b = (
                np.repeat(x, [only_a, only_b, rest])
                for x in ([True, False, False], [False, True, False])
            )
            found = copies(a, b)
            total += chance * (found.ci_low <= alone[0] - alone[1] <= found.ci_high)
    assert total >= least


def test_the_interval_of_unique_members_covers_what_so_many_pictures_find_on_average():
    rng = np.random.default_rng(0)
    for spread in (0.0, 2.0):  # all members alike, or some far likelier than others
        chances = np.exp(spread * rng.normal(size=100))
        chances *= 0.3 / chances.sum()
        n, members = 150, 100
        truth = (1 - (1 - chances) ** n).sum() / n
        drawn = rng.multinomial(n, [*chances, 0.7], size=1000)[:, :-1]
        ends = [ums(count, n, members)[1:] for count in (drawn > 0).sum(1)]
        assert at_least_nominal(covered(low <= truth <= high for low, high in ends), 1000)


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_the_interval_of_a_share_over_strengths_covers_though_they_share_their_noise(rate):
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(600):
        threshold = rng.normal(size=200)  # of the noise; each of five strengths adds its own
        hits = SQRT2 * ndtri(rate) > threshold + rng.normal(size=(5, 200))
        _, low, high = mean_share(hits)
        inside.append(low <= rate <= high)
    assert at_least_nominal(covered(inside), 600)


def test_the_interval_of_a_ratio_to_duplicates_covers():
    rng = np.random.default_rng(0)
    times = np.repeat([3, 1], [10, 40])
    background, inside = np.linspace(0.2, 0.6, 1000), []
    for _ in range(400):
        chances = np.where(times > 1, 4.0, 1.0)
        neighbor = rng.choice(50, p=chances / chances.sum(), size=300)
        table = {
            "neighbor": neighbor,
            "similarity": np.where(rng.uniform(size=300) < 0.3, 0.9, 0.1),
        }
        how = {"extractor": "toy", "calibration": 0.001}
        _, ratio = copying.duplicated(table, background, np.arange(50), times, **how)
        inside.append(ratio.ci_low <= 4 <= ratio.ci_high)
    assert at_least_nominal(covered(inside), 400)


@pytest.mark.parametrize(
    ("metric", "least"),
    [
        ("similarity_p95:toy", 0.95),
        ("similarity_top10%:toy", 0.92),
        ("similarity_top1%:toy", 0.85),  # the mean of the five highest, from the five highest
    ],
)
def test_the_intervals_of_the_most_similar_pictures_cover(metric, least):
    rng, n = np.random.default_rng(0), 500
    share = {"similarity_top10%:toy": 0.1, "similarity_top1%:toy": 0.01}.get(metric, 0)
    top = rng.beta(2, 5, size=(20_000, n))
    truth = (
        np.sort(top, axis=1)[:, -round(share * n) :].mean() if share else 0.5818
    )  # 95 % quantile
    inside = []
    for s in top[:250]:
        if share:
            rows = similarity.tops(s, "toy", rng, 400)
        else:
            ones = np.ones(n)
            rows = similarity.copying(s, ones, 2 * ones, 2 * ones, [0.5], [], "toy")
        row = next(row for row in rows if row.metric == metric)
        inside.append(row.ci_low <= truth <= row.ci_high)
    assert covered(inside) >= least - 3.1 * np.sqrt(least * (1 - least) / 250)


def test_the_intervals_of_screening_cover():
    rng, cap, share = np.random.default_rng(0), 10, 0.4
    truth = {"acceptance_rate": share, "tries_mean": (1 - (1 - share) ** cap) / share}
    found: dict[str, list[bool]] = {name: [] for name in truth}
    for _ in range(600):
        first = rng.geometric(share, 300)
        rows = screening.screening(np.minimum(first, cap), first <= cap, "toy")
        for row in (row for row in rows if row.metric in truth):
            found[row.metric].append(row.ci_low <= truth[row.metric] <= row.ci_high)
    for name, inside in found.items():
        assert covered(inside) >= 0.92, name


# --- intervals of distributions ------------------------------------------------------------------


def test_the_intervals_of_fid_and_kid_cover_what_other_pictures_would_give():
    """The truth is the mean over sets of as many pictures: the bias of FID is in no interval."""
    from leakboard.quality import fid, kid, quality

    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 4))
    pictures = 0.4 + 1.2 * rng.normal(size=(150, 120, 4))
    truths = {f.__name__: np.mean([f(real, drawn) for drawn in pictures]) for f in (fid, kid)}
    inside: dict[str, list[bool]] = {name: [] for name in truths}
    for drawn in pictures[:60]:
        for row in quality(real, drawn, "toy"):
            name = row.metric.partition(":")[0]
            inside[name].append(row.ci_low <= truths[name] <= row.ci_high)
    for name, each in inside.items():
        assert covered(each) >= binom.ppf(0.001, 60, 0.93) / 60, name


def test_the_intervals_of_the_theory_cover_what_other_pictures_would_give():
    rng = np.random.default_rng(0)
    members, labels = rng.normal(size=(60, 3)), np.arange(60) % 2
    ends: dict[str, list[tuple[float, ...]]] = {}
    for _ in range(200):
        plain, asked = rng.normal(size=(100, 3)), np.arange(100) % 2
        pictures = 0.5 * rng.normal(size=(100, 3)) + 0.3 * asked[:, None]
        rows = theory.memorization(plain, members, extractor="toy", epsilon=0.5)
        rows += theory.conditional_ratio(
            pictures, asked, plain, members, labels, rng, extractor="toy", resamples=300
        )
        for row in rows:
            ends.setdefault(row.metric, []).append((row.value, row.ci_low, row.ci_high))
    assert len(ends) == 2
    for name, each in ends.items():
        truth = np.mean([value for value, _, _ in each])
        inside = [low <= truth <= high for _, low, high in each]
        assert covered(inside) >= 0.9, name
