"""The split: sizes, balance, and no image on both sides."""

import numpy as np
import pytest

from leakboard.data.digits import Dataset
from leakboard.duplicates import deduplicated, groups
from leakboard.errors import UserError
from leakboard.published import sides
from leakboard.splits import near_duplicates, split
from leakboard.subset import audited, rows_of_pool, trained_rows

IMAGES, LABELS = Dataset().load()
HOW = {"members": 100, "held_out": 1000, "near_duplicate": 0.06, "seed": 0}


PLANTED = {"images": 10, "times": 7}


def rms(a, b):
    return np.sqrt(((a.astype(float) - b) ** 2).mean(axis=(-3, -2, -1))) / 255


@pytest.fixture(scope="module")
def table():
    return split(IMAGES, LABELS, **HOW)


def test_the_pools_have_the_sizes_that_were_asked_for(table):
    counts = table["pool"].value_counts()
    assert counts["members"] == 100
    assert counts["held-out"] == 1000
    assert counts["reference"] + counts["dropped"] == 697
    assert len(table) == 1797
    assert (table["index"] == np.arange(1797)).all()


def test_members_halves_and_folds_are_balanced_over_the_classes(table):
    members = table[table["pool"] == "members"]
    assert (members["label"].value_counts() == 10).all()
    assert members.groupby("half")["label"].value_counts().eq(5).all()
    assert members.groupby(["half", "fold"]).size().eq(25).all()
    assert members.groupby(["label", "fold"]).size().eq(5).all()
    strangers = table[table["pool"] == "held-out"]
    assert strangers["fold"].value_counts().tolist() == [500, 500]
    assert strangers["label"].value_counts().between(99, 101).all()


def test_no_image_comes_near_one_of_another_pool(table):
    pools = {name: IMAGES[rows_of_pool(table, name)] for name in ("members", "held-out")}
    pools["reference"] = IMAGES[rows_of_pool(table, "reference")]
    for one, two in (("members", "held-out"), ("members", "reference"), ("held-out", "reference")):
        nearest = min(rms(image, pools[two]).min() for image in pools[one])
        assert nearest >= 0.06


def test_copies_and_chains_of_near_copies_become_one_group():
    images = np.zeros((5, 4, 4, 1), dtype=np.uint8)
    images[1] = 10  # 0.04 from image 0
    images[2] = 20  # 0.04 from image 1, 0.08 from image 0
    images[3] = 200
    images[4] = 200
    assert near_duplicates(images, 0.05).tolist() == [0, 0, 0, 3, 3]
    assert near_duplicates(images, 0.0).tolist() == [0, 1, 2, 3, 3]


def test_the_digits_hold_the_near_duplicates_that_brute_force_finds():
    flat = IMAGES.reshape(1797, -1) / 255
    gap = np.sqrt(((flat[:, None] - flat[None]) ** 2).mean(-1))
    pairs = np.argwhere(np.triu(gap < 0.08, 1))
    first = np.arange(1797)
    for _ in range(10):  # pass the lowest number along the links until nothing changes
        for i, j in pairs:
            first[i] = first[j] = min(first[i], first[j])
    assert len(pairs) > 10
    assert (near_duplicates(IMAGES, 0.08) == first).all()


def test_the_radius_of_a_group_includes_its_end_and_chains_are_one_group():
    rows = np.array([[0.0], [3.0], [1.0], [4.5], [9.0], [9.0]])
    assert groups(rows, 0.0).tolist() == [0, 1, 2, 3, 4, 4]
    assert groups(rows, 0.999).tolist() == [0, 1, 2, 3, 4, 4]
    assert groups(rows, 1.0).tolist() == [0, 1, 0, 3, 4, 4]
    assert groups(rows, 2.0).tolist() == [0, 0, 0, 0, 4, 4]
    assert groups(rows, 4.5).tolist() == [0] * 6


def test_groups_are_those_of_all_distances_however_far_from_zero_and_however_many():
    rng = np.random.default_rng(0)
    rows = (100 + rng.normal(size=(2500, 8))).astype(np.float32)
    rows[[7, 1500, 2400]] = rows[3]  # exact copies, in other parts of the search
    assert (groups(rows, 0.0) == np.where(rows[:, 0] == rows[3, 0], 3, np.arange(2500))).all()
    gap = np.sqrt(((rows[:, None].astype(float) - rows[None]) ** 2).sum(-1))
    first = np.arange(2500)
    for _ in range(50):  # the lowest number spreads along the links
        first = np.where(gap <= 0.9, first[None], 2500).min(1)
    found = groups(rows, 0.9)
    assert 100 < len(np.unique(found)) < 2400
    assert (found == first).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 100])
def test_planted_duplicates_change_nothing_but_how_often_some_members_are_shown(table, n):
    planted = split(IMAGES, LABELS, **HOW, duplicates={"images": n, "times": 7})
    assert (table["times"] == 1).all()
    assert planted.drop(columns="times").equals(table.drop(columns="times"))
    chosen = planted[planted["times"] != 1]
    assert len(chosen) == n
    assert (chosen["times"] == 7).all()
    assert (chosen["pool"] == "members").all()
    for columns in (["half"], ["fold"], ["half", "fold"]):
        counts = chosen.groupby(columns).size()
        cells = 2 ** len(columns)
        assert len(counts) == min(n, cells)  # two are of both halves and of both folds
        assert counts.max() - (counts.min() if n >= cells else 0) <= 1


def test_which_members_are_planted_depends_on_the_seed_of_the_subset_alone(table):
    one, two = (split(IMAGES, LABELS, **HOW, duplicates=PLANTED) for _ in range(2))
    assert one.equals(two)
    more = split(IMAGES, LABELS, **HOW, duplicates={"images": 20, "times": 2})
    assert set(np.flatnonzero(one["times"] > 1)) < set(np.flatnonzero(more["times"] > 1))
    other = split(IMAGES, LABELS, **{**HOW, "seed": 1}, duplicates=PLANTED)
    assert (other["times"] != one["times"]).any()


def test_trainings_see_the_repeats_and_everybody_else_sees_each_image_once(table):
    planted = split(IMAGES, LABELS, **HOW, duplicates=PLANTED)
    for pool in ("members", "half-a", "half-b", "reference"):
        rows, shown = rows_of_pool(planted, pool), trained_rows(planted, pool)
        assert (rows == rows_of_pool(table, pool)).all()
        assert (rows == trained_rows(table, pool)).all()
        found, counts = np.unique(shown, return_counts=True)
        assert (found == rows).all()
        assert (counts == planted["times"].to_numpy()[rows]).all()
    assert len(trained_rows(planted, "members")) == 100 + 10 * 6
    assert len(audited(planted)) == 1100


def test_a_deduplicated_pool_holds_the_first_of_each_group_once():
    planted = split(IMAGES, LABELS, **HOW, duplicates=PLANTED)
    rows = rows_of_pool(planted, "members")
    features = np.arange(1797.0)[:, None] * 10
    features[rows[5]] = features[rows[2]] + 1  # a near-duplicate among distinct members
    features[rows[8]] = features[rows[5]] + 1  # and a chain
    how = {"taught": ["members"], "where": "networks.a.dedup.similarity: 0.9"}
    found = deduplicated(planted, "members", features, 1.0, **how)
    assert found.columns.tolist() == ["index", "group", "times", "kept"]
    assert (found["index"] == rows).all()
    assert found["group"].tolist() == [
        rows[2] if i in (5, 8) else row for i, row in enumerate(rows)
    ]
    assert (found["times"] == planted["times"].to_numpy()[rows]).all()
    left = np.delete(rows, [5, 8])
    assert (trained_rows(planted, "members", found) == left).all()
    halves = [trained_rows(planted, half, found) for half in ("half-a", "half-b")]
    assert sorted(np.concatenate(halves)) == left.tolist()


@pytest.mark.parametrize(
    ("taught", "radius", "said"),
    [
        (["members"], 1e9, r"leaves 1 of the 100 images of pool 'members'"),
        (["half-a", "half-b"], 0.5, r"leaves 0 of the 50 images of pool 'half-b'"),
    ],
)
def test_too_little_left_of_a_pool_is_refused_with_network_threshold_and_count(
    table, taught, radius, said
):
    # All of half b equals the first image of half a, and comes after it.
    halves = {half: rows_of_pool(table, half) for half in ("half-a", "half-b")}
    table = table.copy()
    ordered = np.sort(np.concatenate(list(halves.values())))
    table.loc[ordered, "half"] = ["a"] * 50 + ["b"] * 50
    features = np.arange(1797.0)[:, None] * 10
    features[ordered[50:]] = features[ordered[0]]
    where = "networks.twin.dedup.similarity: 0.9"
    with pytest.raises(UserError, match=rf"^networks\.twin\.dedup\.similarity: 0\.9 {said}"):
        deduplicated(table, "members", features, radius, taught=taught, where=where)


def test_another_seed_is_another_split_and_the_same_seed_the_same(table):
    assert split(IMAGES, LABELS, **HOW).equals(table)
    other = split(IMAGES, LABELS, **{**HOW, "seed": 1})
    assert (other["pool"] != table["pool"]).sum() > 200


def test_too_many_images_are_refused_with_the_numbers():
    with pytest.raises(UserError, match=r"1900.*1797 images"):
        split(IMAGES, LABELS, **{**HOW, "held_out": 1800})


def test_attackers_are_asked_about_members_and_strangers_only(table):
    assert set(audited(table)["pool"]) == {"members", "held-out"}
    with pytest.raises(UserError, match="'half-c' is empty"):
        rows_of_pool(table, "half-c")


# --- splits that somebody else made --------------------------------------------------------------

NUMBERS = np.arange(1797) + 1000
ONE, TWO = (
    np.random.default_rng(3).permutation(NUMBERS)[part]
    for part in (slice(0, 700), slice(700, 1500))
)


def published(path, one=ONE, two=TWO):
    np.savez(path, mia_train_idxs=one, mia_eval_idxs=two, ratio=0.5)
    return str(path)


def test_a_published_split_says_where_members_and_strangers_come_from(tmp_path):
    found = sides({"number": NUMBERS}, 1797, published(tmp_path / "s.npz"))
    table = split(IMAGES, LABELS, **{**HOW, "held_out": 500}, sides=found)
    assert set(rows_of_pool(table, "members") + 1000) < set(ONE.tolist())
    assert set(rows_of_pool(table, "held-out") + 1000) < set(TWO.tolist())
    counts = table["pool"].value_counts()
    assert (counts["members"], counts["held-out"]) == (100, 500)
    assert counts["reference"] + counts["dropped"] == 1197  # what is left of both, and all others
    members = table[table["pool"] == "members"]
    assert (members["label"].value_counts() == 10).all()
    assert members.groupby(["half", "fold"]).size().eq(25).all()
    assert table[table["pool"] == "held-out"]["label"].value_counts().between(49, 51).all()
    again = split(IMAGES, LABELS, **{**HOW, "held_out": 500}, sides=found)
    assert again.equals(table)


def test_all_of_a_published_split_is_exactly_its_lists_and_the_rest_is_reference(tmp_path):
    found = sides({}, 1797, published(tmp_path / "s.npz", ONE - 1000, TWO - 1000))
    all_ = {"members": 700, "held_out": 800, "near_duplicate": 0.0, "seed": 0}
    table = split(IMAGES, LABELS, **all_, sides=found)
    assert rows_of_pool(table, "members").tolist() == sorted(ONE - 1000)
    assert rows_of_pool(table, "held-out").tolist() == sorted(TWO - 1000)
    assert len(rows_of_pool(table, "reference")) == 297
    with pytest.raises(UserError, match=r"subset\.members: 701, .* holds 700"):
        split(IMAGES, LABELS, **{**all_, "members": 701}, sides=found)
    with pytest.raises(UserError, match=r"subset\.held_out: 801.*holds 800"):
        split(IMAGES, LABELS, **{**all_, "held_out": 801}, sides=found)


def test_a_published_split_loses_what_is_nearly_the_same_on_both_sides(tmp_path):
    near = np.concatenate([IMAGES[:10], np.clip(IMAGES[:10].astype(int) + 3, 0, 255)]).astype(
        np.uint8
    )
    found = sides({}, 20, published(tmp_path / "s.npz", np.arange(10), np.arange(10, 20)))
    how = {"members": 4, "held_out": 4, "seed": 0, "sides": found}
    table = split(near, np.zeros(20, int), near_duplicate=0.0, **how)
    assert (table["pool"] != "dropped").all()
    with pytest.raises(UserError, match=r"held_out: 4.*0 without"):
        split(near, np.zeros(20, int), near_duplicate=0.05, **how)


def test_a_split_by_file_takes_each_pool_from_its_own_files():
    names = np.array(["mine/a.png", "mine/b.png", "others/c.png", "others/d.png", "e.png"])
    patterns = {"members": "mine/*", "held_out": "others/*"}
    one, two = sides({"file": names}, 5, files=patterns)
    assert one.tolist() == [0, 1]
    assert two.tolist() == [2, 3]
    for changed, said in (
        ({"members": "*"}, "'others/c.png' matches both patterns"),
        ({"members": "none/*"}, "no image of the dataset is among its members"),
        ({"held_out": "none/*"}, "no image of the dataset is among its held-out"),
    ):
        with pytest.raises(UserError, match=rf"subset\.files: {said}"):
            sides({"file": names}, 5, files={**patterns, **changed})
    with pytest.raises(UserError, match=r"subset\.files: the dataset names no files"):
        sides({}, 5, files=patterns)


def test_a_split_that_cannot_be_meant_is_refused(tmp_path):
    path = tmp_path / "bad.npz"
    columns = {"number": NUMBERS}
    for one, two, said in (
        (ONE, ONE[:1], "is in both lists"),
        (np.append(ONE, ONE[0]), TWO, "`mia_train_idxs` names an image twice"),
        (ONE, TWO.astype(float), "`mia_eval_idxs` is float64"),
        (ONE + 5000, TWO, "no image of the dataset is among its members"),
    ):
        with pytest.raises(UserError, match=rf"subset\.split: .*bad\.npz.*{said}"):
            sides(columns, 1797, published(path, one, two))
    np.savez(path, train=ONE)
    for name in ("bad.npz", "none.npz"):
        with pytest.raises(
            UserError, match=rf"subset\.split: .*{name}' is not a \.npz with mia_tr"
        ):
            sides(columns, 1797, str(tmp_path / name))
    with pytest.raises(UserError, match="2 images of the number 1000"):
        sides({"number": np.append(NUMBERS[:-1], 1000)}, 1797, published(path))
    assert sides(columns, 1797) is None


def test_exact_copies_are_found_by_their_content():
    images = np.concatenate([IMAGES[:50], IMAGES[10:20], IMAGES[:3]])
    expected = [*range(50), *range(10, 20), 0, 1, 2]
    assert near_duplicates(images, 0.0).tolist() == expected
    assert near_duplicates(images, 1e-6).tolist() == expected
