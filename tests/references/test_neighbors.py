"""The neighbor engine against brute force."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from leakboard.neighbors import CHUNK, nearest, table


def points(n, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_neighbors_are_those_of_brute_force():
    queries, references = points(300), points(200, seed=1)
    found = nearest(queries, references, 7)
    distance = cdist(queries.astype(float), references.astype(float))
    assert (found.index == np.argsort(distance, axis=1, kind="stable")[:, :7]).all()
    np.testing.assert_allclose(found.distance, np.sort(distance, axis=1)[:, :7], rtol=1e-12)


def test_an_exact_copy_is_at_distance_zero_even_far_from_the_origin():
    references = points(100) + 1000
    found = nearest(references[[3, 50]], references, 2)
    assert (found.distance[:, 0] == 0).all()
    assert found.index[:, 0].tolist() == [3, 50]


def test_ties_go_to_the_lower_index():
    references = np.concatenate([points(5), points(5)])
    found = nearest(points(5), references, 2)
    assert found.index.tolist() == [[i, i + 5] for i in range(5)]


def test_no_row_is_its_own_neighbor_when_the_queries_are_the_references():
    references = np.concatenate([points(20), points(1)])  # the first and the last are equal
    found = nearest(references, references, 3, own=True)
    assert not (found.index == np.arange(21)[:, None]).any()
    assert found.index[0, 0] == 20
    assert found.distance[0, 0] == 0


def test_chunks_do_not_matter():
    queries, references = points(CHUNK + 10, d=4), points(30, d=4, seed=1)
    whole, part = nearest(queries, references, 3), nearest(queries[-20:], references, 3)
    assert (whole.index[-20:] == part.index).all()


def test_too_few_references_are_refused():
    with pytest.raises(ValueError, match="5 neighbors asked for among 4"):
        nearest(points(3), points(4), 5)


def test_the_table_names_images_and_averages_the_nearest_included():
    references = np.array([[0.0], [1.0], [3.0]], dtype=np.float32)
    rows = table(
        np.array([[0.25]], dtype=np.float32), np.array([9]), references,
        np.array([100, 200, 300]), 2, "rms",
    )  # fmt: skip
    row = rows.iloc[0]
    assert (row["sample"], row["neighbor"]) == (9, 100)
    assert row["distance"] == pytest.approx(0.25)
    assert row["runner_up"] == pytest.approx(0.75)
    assert row["mean_k"] == pytest.approx(0.5)
    assert row["similarity"] == pytest.approx(0.75)
