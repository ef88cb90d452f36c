"""The split: sizes, balance, and no image on both sides."""

import numpy as np
import pytest

from leakboard.data.digits import Dataset
from leakboard.errors import UserError
from leakboard.splits import near_duplicates, split
from leakboard.subset import audited, rows_of_pool

IMAGES, LABELS = Dataset().load()
HOW = {"members": 100, "held_out": 1000, "near_duplicate": 0.06, "seed": 0}


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
