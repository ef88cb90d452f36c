"""The rows that a board is made of: each points the right way, whoever computed its parts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from leakboard import measurements
from leakboard.costs import costs, trainings
from leakboard.digests import digest
from leakboard.errors import UserError
from leakboard.measures import copying
from leakboard.measures.audit import audit, scored
from leakboard.measures.bootstrap import Resampler
from leakboard.measures.measure import Measure
from leakboard.measures.screening import screening

RNG = np.random.default_rng(0)
HOW = {"extractor": "toy", "calibration": 0.001}


def values(rows):
    return {row.metric.removesuffix(":toy"): row.value for row in rows}


def scores(shift, fold_shift=0.0, n=(200, 1000), seed=0):
    """Members score higher by `shift`, those of the dev fold by `fold_shift` more."""
    rng = np.random.default_rng(seed)
    pool = np.repeat(["members", "held-out"], n)
    fold = np.where(np.arange(sum(n)) % 2 == 0, "dev", "test")
    member = pool == "members"
    score = rng.normal(size=sum(n)) + shift * member + fold_shift * (member & (fold == "dev"))
    return pd.DataFrame({"pool": pool, "fold": fold, "score": score})


def test_members_that_score_higher_give_an_auc_above_one_half_and_a_positive_z():
    found = values(audit({"base": scores(1.0)}, Resampler(1)))
    assert found["auc"] > 0.7
    assert found["z"] > 4
    assert found["z_p"] < 1e-4
    turned = values(audit({"base": scores(-1.0)}, Resampler(1)))
    assert turned["auc"] < 0.3
    assert turned["z_p"] > 0.999


def test_a_score_that_members_have_less_of_is_turned_around_where_the_dev_fold_says_so():
    found = values(audit({"base": scores(1.0)}, Resampler(1)))
    assert not [name for name in found if name.endswith(":turned")]
    mirrored = scores(1.0)
    mirrored["score"] *= -1
    turned = values(audit({"base": mirrored}, Resampler(1)))
    assert turned["auc"] == pytest.approx(1 - found["auc"])
    assert turned["tpr@1%fpr"] < 0.01
    for name in ("tpr@1%fpr", "tpr@1%fpr:dev-threshold"):
        assert turned[f"{name}:turned"] == found[name] > 0.05
    # Only the dev fold decides: here members score lower in the test fold, and nobody knows it.
    misled = values(audit({"base": scores(-1.0, fold_shift=3.0)}, Resampler(1)))
    assert misled["auc"] < 0.3
    assert "tpr@1%fpr:turned" not in misled


def test_numbers_come_from_the_test_fold_and_thresholds_from_the_dev_fold():
    only_dev = audit({"base": scores(0.0, fold_shift=5.0)}, Resampler(1))
    found = values(only_dev)
    assert abs(found["auc"] - 0.5) < 0.1
    assert {row.n for row in only_dev if row.metric == "auc"} == {600}
    assert found["tpr@1%fpr:dev-threshold"] < 0.1


def halves():
    """Two networks of 200 members: each knows half of them, and its scores say so."""
    one, two = scores(0.0, seed=1), scores(0.0, seed=2)
    half = (np.arange(len(one)) % 4 < 2) & (one["pool"] == "members")
    one.loc[half, "score"] += 4
    two.loc[~half & (two["pool"] == "members"), "score"] += 4
    return {"half-a": one, "half-b": two}


def test_an_attacker_with_two_networks_takes_the_combination_that_tells_most():
    found = audit(halves(), Resampler(1))
    known = values(found)
    assert known["auc:max"] > max(known["auc:half-a"], known["auc:half-b"]) + 0.1
    assert known["auc"] == known["auc:max"] > known["auc:mean"]
    said = {row.metric: row.note for row in found}
    assert said["auc"] == "max over half-a and half-b"
    assert said["z"].startswith("max over half-a and half-b; one-sided")
    for name, row in ((row.metric, row) for row in found if row.metric.startswith("auc:")):
        assert row.ci_low < row.value < row.ci_high, name
    alone = values(audit({"half-a": halves()["half-a"]}, Resampler(1)))
    assert alone["auc"] == known["auc:half-a"]
    assert not any(name.startswith("auc:") for name in alone)


def test_a_network_that_knows_more_than_any_mixture_is_used_alone():
    tables = {"base": scores(3.0, seed=1), "noise": scores(0.0, seed=2)}
    tables["noise"]["score"] *= 100
    found = audit(tables, Resampler(1))
    assert next(row.note for row in found if row.metric == "auc") == "scored by base"
    assert values(found)["auc"] == values(found)["auc:base"]


def test_a_score_the_wrong_way_around_is_as_strong():
    tables = {"base": scores(-3.0, seed=1), "noise": scores(0.5, seed=2)}
    found = audit(tables, Resampler(1))
    assert next(row.note for row in found if row.metric == "auc") == "scored by base"
    assert values(found)["auc"] < 0.1


def test_the_combination_is_chosen_on_the_dev_fold():
    # In the test fold the other network would tell more: that must not be looked at.
    dev, test = scores(0.0, fold_shift=3.0, seed=1), scores(0.0, seed=2)
    test.loc[(test["pool"] == "members") & (test["fold"] == "test"), "score"] += 3
    found = values(audit({"dev": dev, "test": test}, Resampler(1)))
    assert found["auc:test"] > 0.9
    assert found["auc"] < found["auc:test"]


def test_the_score_that_is_compared_is_the_one_that_is_audited():
    backwards = {name: each.assign(score=-each["score"]) for name, each in halves().items()}
    for tables, sign in ((halves(), 1), (backwards, -1)):
        chosen, told = scored(tables), values(audit(tables, Resampler(1)))
        score, members = chosen.judged
        assert chosen.sign == sign
        assert roc_auc_score(members, score) == pytest.approx(told["auc"], abs=1e-12)
        assert told[f"auc:{chosen.name}"] == told["auc"]
        assert (members.sum(), members.size) == (100, 600)  # the test half


def table(similarity):
    """A neighbor table of unit vectors: the copies lie at distance sqrt(2 - 2 s)."""
    distance = np.sqrt(2 - 2 * similarity)
    return {
        "similarity": similarity,
        "distance": distance,
        "runner_up": distance + 0.5,
        "mean_k": distance + 0.8,
    }


def test_fewer_copies_than_the_undefended_model_give_a_small_p_and_more_a_large_one():
    background = RNG.uniform(0.2, 0.6, 1000)
    many, few = (RNG.uniform(0.2, high, 500) for high in (0.9, 0.62))
    rows = copying.compared(table(many), table(few), background, **HOW)
    better = values(rows)
    worse = values(copying.compared(table(few), table(many), background, **HOW))
    for name in ("copy_fisher_p", "copy_mcnemar_p"):
        assert better[name] < 1e-6
        assert worse[name] > 0.999
    assert better["copy_logrank_p"] < 1e-6  # two-sided
    assert {row.n for row in rows} == {1000}


def test_copies_are_counted_above_what_strangers_reach():
    background = np.linspace(0.2, 0.6, 1000)
    similarity = np.concatenate([np.full(30, 0.95), np.full(70, 0.5)])
    found = values(
        copying.copies(table(similarity), background, thresholds=[0.4, 0.97], alpha=0.5, **HOW)
    )
    assert found["copy_rate"] == 0.3
    assert found["copy_rate>0.4"] == 1.0
    assert found["copy_rate>0.97"] == 0.0


def duplicated(neighbors, copied, times):
    """The two rows about duplicates: pictures with these nearest members, copies or not."""
    background = np.linspace(0.2, 0.6, 1000)
    near = {"neighbor": np.array(neighbors), "similarity": np.where(copied, 0.95, 0.5)}
    members, times = np.arange(len(times)) + 50, np.array(times)
    share, ratio = copying.duplicated(near, background, members, times, **HOW)
    assert share.metric == "copies_of_duplicates:toy"
    assert ratio.metric == "copies_per_duplicate_ratio:toy"
    return share, ratio


def test_a_ratio_says_how_many_times_more_often_a_duplicate_is_copied():
    # Member 50 is repeated, 51 to 54 are not: 24 copies of the one, 6 of the four others.
    neighbors = [50] * 40 + [51] * 30 + [54] * 30
    copied = [True] * 24 + [False] * 16 + [True] * 6 + [False] * 54
    share, ratio = duplicated(neighbors, copied, [5, 1, 1, 1, 1])
    assert (share.value, share.n, share.status) == (0.24, 100, "ok")
    assert share.ci_low < 0.24 < share.ci_high
    assert (ratio.n, ratio.status) == (30, "ok")
    assert ratio.value == pytest.approx(24 / (6 / 4))
    assert "24 copies of 1 members trained on 5 times, 6 of 4 others" in ratio.note
    ends = binomtest(24, 30).proportion_ci()
    odds = [4 * p / (1 - p) for p in (ends.low, ends.high)]
    assert [ratio.ci_low, ratio.ci_high] == pytest.approx(odds)


def test_duplicates_that_are_copied_as_often_as_others_have_a_ratio_near_one():
    neighbors = np.repeat(np.arange(50, 60), 30)
    _, ratio = duplicated(neighbors, np.tile([True, False], 150), [3, 3] + [1] * 8)
    assert ratio.value == pytest.approx(1.0)
    assert ratio.ci_low < 1 < ratio.ci_high < 2


@pytest.mark.parametrize(
    ("duplicates", "others", "value", "low", "high"),
    [
        (0, 0, np.nan, np.nan, np.nan),
        (20, 0, np.nan, 19.0, np.nan),  # at least so many times more often
        (6, 3, 8.0, 1.7, 50.0),  # few, but a number
        (40, 1, 160.0, 27.5, 6329.0),  # a large one, that one copy decides
    ],
)
def test_a_ratio_of_too_few_copies_is_unresolved(duplicates, others, value, low, high):
    neighbors = [50] * 50 + [51] * 50
    copied = [True] * duplicates + [False] * (50 - duplicates)
    copied += [True] * others + [False] * (50 - others)
    share, ratio = duplicated(neighbors, copied, [5, 1, 1, 1, 1])
    assert share.status == "ok"
    assert ratio.status == "unresolved"
    assert ratio.value == pytest.approx(value, nan_ok=True)
    assert ratio.ci_low == pytest.approx(low, nan_ok=True, rel=0.05)
    assert ratio.ci_high == pytest.approx(high, nan_ok=True, rel=0.05)
    assert f"{others} of 4 others" in ratio.note


def test_duplicates_that_are_never_copied_have_a_ratio_of_zero_with_an_upper_end():
    _, ratio = duplicated([50] * 20 + [51] * 20, [False] * 20 + [True] * 20, [4, 1])
    assert (ratio.value, ratio.ci_low, ratio.status) == (0.0, 0.0, "ok")
    assert 0 < ratio.ci_high < 0.3


def test_without_another_member_there_is_nothing_to_compare_a_duplicate_with():
    _, ratio = duplicated([50] * 40, [True] * 40, [2])
    assert ratio.status == "unresolved"
    assert np.isnan([ratio.value, ratio.ci_low, ratio.ci_high]).all()


@pytest.mark.parametrize("measure", ["cosine", "rms"])
def test_pictures_near_members_are_nearer_than_to_random_images(measure):
    real = RNG.normal(size=(400, 8))
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    trained = np.arange(400) < 60
    near = real[RNG.integers(60, size=200)] + 0.02 * RNG.normal(size=(200, 8))
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    how = {"extractor": "toy", "measure": measure, "permutations": 199, "subsample": 50}
    copied = values(copying.permuted(near, real, trained, np.random.default_rng(2), **how))
    assert copied["permutation_mean_p"] == pytest.approx(1 / 200)
    assert copied["permutation_mean_quantile"] == 1.0
    away = values(copying.permuted(near, real, ~trained, np.random.default_rng(2), **how))
    assert away["permutation_mean_p"] > 0.5


def test_a_descriptor_that_knows_copies_is_told_from_one_that_does_not():
    real = RNG.normal(size=(300, 16))
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    near = RNG.uniform(0.3, 0.5, 300)
    distance = np.sqrt(2 - 2 * near)
    far = (
        np.where(np.arange(300) < 30, 3.0, 1.0) * distance
    )  # a tenth has nL2 = 1 / (1 / 2 + 3 / 2)
    background = {"similarity": near, "distance": distance, "mean_k": (distance + far) / 2}
    how = {"extractor": "toy", "measure": "cosine", "alpha": 0.5}
    rows = np.arange(300)
    good = values(copying.described(real, real, rows, background, **how))
    assert good["self_similarity"] == pytest.approx(1.0)
    assert good["copy_recall"] == 1.0
    assert good["background_similarity"] == pytest.approx(near.mean())
    assert good["background_nl2<1.4"] == good["background_nl2<1.6"] == 0.1
    altered, of = np.roll(real, 1, axis=0), np.roll(rows, 1)
    bad = values(copying.described(real, altered, of, background, **how))
    assert bad["copy_recall"] == 0.0
    assert abs(bad["self_similarity"]) < 0.1


def test_what_screening_takes_is_counted_over_draws_and_over_pictures():
    tries = np.array([1, 1, 3, 2, 4, 4])
    passed = np.array([True, True, True, True, True, False])
    found = screening(tries, passed, "toy")
    said = values(found)
    assert said["acceptance_rate"] == 5 / 15
    assert said["redrawn_rate"] == 4 / 6
    assert said["tries_mean"] == 15 / 6
    assert said["tries_max"] == 4
    assert said["capped_rate"] == 1 / 6
    counted = {row.metric: row.n for row in found}
    assert counted.pop("acceptance_rate") == 15
    assert set(counted.values()) == {6}
    directions = {row.metric: row.better for row in found}
    assert directions.pop("acceptance_rate") == "higher"
    assert set(directions.values()) == {"lower"}
    notes = {row.metric: row.note for row in found}
    assert "toy" in notes["acceptance_rate"]
    assert "none of 4 tries passed" in notes["capped_rate"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_the_intervals_of_screening_hold_what_generates_it(share):
    held = {"acceptance_rate": 0, "tries_mean": 0}
    for seed in range(100):
        first = np.random.default_rng(seed).geometric(share, 300)
        tries, passed = np.minimum(first, 10), first <= 10
        rows = {row.metric: row for row in screening(tries, passed, "toy")}
        truth = {"acceptance_rate": share, "tries_mean": (1 - (1 - share) ** 10) / share}
        for name, value in truth.items():
            held[name] += rows[name].ci_low <= value <= rows[name].ci_high
    assert min(held.values()) >= 87  # of 95; below by chance once in 1000 times


def test_a_defense_that_never_draws_again_and_one_that_never_lets_pass_are_the_extremes():
    rows = screening(np.ones(50, dtype=int), np.ones(50, dtype=bool), "toy")
    assert not any("handed out" in row.note for row in rows)
    assert values(rows) == {
        "acceptance_rate": 1,
        "redrawn_rate": 0,
        "tries_mean": 1,
        "tries_max": 1,
        "capped_rate": 0,
    }
    always = values(screening(np.full(50, 7), np.zeros(50, dtype=bool), "toy"))
    assert always == {
        "acceptance_rate": 0,
        "redrawn_rate": 1,
        "tries_mean": 7,
        "tries_max": 7,
        "capped_rate": 1,
    }


def test_one_picture_has_no_interval_of_its_mean_number_of_draws():
    row = screening(np.array([3]), np.array([True]), "toy")[2]
    assert (row.metric, row.value) == ("tries_mean", 3)
    assert np.isnan([row.ci_low, row.ci_high]).all()


@pytest.mark.parametrize(
    ("tries", "passed"),
    [
        pytest.param([1, 2], [True], id="other shapes"),
        pytest.param([], [], id="no picture"),
        pytest.param([1, 0], [True, True], id="a picture that was never drawn"),
        pytest.param([1, 2], [1, 0], id="numbers for passed"),
        pytest.param([[1, 2]], [[True, True]], id="a table"),
    ],
)
def test_screening_refuses_what_cannot_be_counted(tries, passed):
    kind = {"dtype": bool} if not passed else {}
    with pytest.raises(ValueError, match=r"tries|vector"):
        screening(np.array(tries, dtype=int), np.array(passed, **kind), "toy")


def test_a_defense_pays_for_the_trainings_it_rests_on_and_for_all_its_shards():
    def trained(network, seconds, seed="0"):
        return {"network": network, "seed": seed, "seconds": seconds, "peak_memory_mb": 100.0}

    def drawn(defense, seconds, shard, memory=50.0):
        return {
            "defense": defense,
            "seed": "0",
            "shard": shard,
            "seconds": seconds + 5,
            "drawing_seconds": seconds,
            "peak_memory_mb": memory,
        }

    perf = [trained("base", 100.0), trained("coins", 40.0), trained("base", 999.0, seed="1")]
    perf += [drawn("none", 10.0, "0"), drawn("none", 10.0, "1")]
    perf += [drawn("cpsample", 12.0, "0", 300.0), drawn("cpsample", 18.0, "1")]
    made = costs(perf, {"none": ["base"], "cpsample": ["base", "coins"]}).set_index("defense")
    assert made["training_seconds"].to_dict() == {"none": 100.0, "cpsample": 140.0}
    assert made["sampling_seconds"].to_dict() == {"none": 20.0, "cpsample": 30.0}
    assert made["sampling_ratio"].to_dict() == {"none": 1.0, "cpsample": 1.5}
    assert made["peak_memory_mb"].to_dict() == {"none": 100.0, "cpsample": 300.0}


def test_drawing_that_takes_no_time_worth_telling_is_compared_all_the_same():
    perf = [
        {"defense": name, "seed": "0", "seconds": 2.0, "drawing_seconds": s, "peak_memory_mb": 1.0}
        for name, s in [("none", 0.02), ("amg", 0.03)]
    ]
    made = costs(perf, {"none": [], "amg": []}).set_index("defense")
    assert made["sampling_seconds"].to_dict() == {"none": 0.0, "amg": 0.0}
    assert made["sampling_ratio"].to_dict() == pytest.approx({"none": 1.0, "amg": 1.5})


def test_a_training_that_is_made_with_one_seed_is_paid_for_with_each():
    jobs = [("judge", "0", 7.0), ("own", "0", 100.0), ("own", "1", 200.0), ("base", "1", 50.0)]
    perf = [
        {"network": name, "seed": seed, "seconds": seconds, "peak_memory_mb": 1.0}
        for name, seed, seconds in jobs
    ]
    for defense, seed in [("none", "0"), ("none", "1"), ("dedup", "0"), ("dedup", "1")]:
        drawn = {"defense": defense, "seed": seed, "shard": "0", "drawing_seconds": 1.0}
        perf.append({**drawn, "seconds": 2.0, "peak_memory_mb": 1.0})
    made = costs(perf, {"none": [], "dedup": ["judge", "own"]}).set_index(["defense", "seed"])
    assert made["training_seconds"]["dedup"].to_dict() == {0: 107.0, 1: 207.0}
    assert made["training_seconds"]["none"].to_dict() == {0: 0.0, 1: 0.0}


def test_every_training_of_the_board_is_listed_with_its_steps_and_epochs():
    def job(network, seed, epochs):
        return {"network": network, "seed": seed, "steps": 8, "epochs": epochs, "seconds": 1.5}

    about = {"trainer": "standard", "data": "members", "init": "", "teachers": ""}
    perf = [job("half-a", "0", 20.0), job("base", "0", 10.0), job("base", "1", 10.0)]
    perf += [job("unused", "0", 1.0), {"defense": "none", "seed": "0", "seconds": 3.0}]
    table = trainings(perf, {"base": about, "half-a": {**about, "data": "half-a"}})
    assert table[["network", "seed", "epochs"]].to_numpy().tolist() == [
        ["base", 0, 10.0],
        ["base", 1, 10.0],
        ["half-a", 0, 20.0],
    ]
    assert table["data"].tolist() == ["members", "members", "half-a"]


def cell(defense):
    about = {"track": "toy", "seed": 0, "defense": defense, "reported": {}}
    return {"stage": "membership", "about": about}


def test_rows_of_several_cells_in_one_file_are_each_held_to_their_own_digest(tmp_path):
    file, digests = tmp_path / "cells.json", [digest(cell(name)) for name in ("none", "other")]
    row = Measure("auc", 0.5, 0.4, 0.6, 10, "probability", "chance")
    spec = {"stage": "membership", "cells": [cell("none"), cell("other")]}
    measurements.write(file, spec, {}, [(each, [row]) for each in spec["cells"]])
    files = {"membership": [str(file)]}
    table = measurements.gather(files, {"membership": [digests]})
    assert table[["defense", "digest"]].to_numpy().tolist() == [
        ["none", digests[0]],
        ["other", digests[1]],
    ]
    measurements.check(table, {"membership": [digests]})
    with pytest.raises(UserError, match=r"1 rows .* auc of other"):
        measurements.check(table, {"membership": [digests[:1]]})
    with pytest.raises(UserError, match=r"cells\.json: 'auc' was measured under another"):
        measurements.gather(files, {"membership": [[digests[0], digest(cell("new"))]]})
    with pytest.raises(UserError, match=r"cells\.json: nothing was measured under"):
        measurements.gather(files, {"membership": [[*digests, digest(cell("new"))]]})
