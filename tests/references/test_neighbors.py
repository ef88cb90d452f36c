"""The neighbor engine against brute force, whichever library searches."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from leakboard import candidates
from leakboard.errors import UserError
from leakboard.likeness import distinct, table
from leakboard.neighbors import CHUNK, Index, nearest

ENGINES = ["flat", "ivf", "hnsw", "without faiss", "on a device"]


@pytest.fixture(params=ENGINES)
def find(request, monkeypatch):
    """An `Index` by each way to search, its queries and results as NumPy arrays."""
    given = to_array = np.asarray
    method = request.param if request.param in candidates.METHODS else "flat"
    if request.param == "without faiss":
        monkeypatch.setitem(sys.modules, "faiss", None)
    if request.param == "on a device":  # a tensor that NumPy cannot reach
        monkeypatch.setattr(candidates, "on_host", lambda tensor: False)
        given, to_array = torch.from_numpy, torch.Tensor.numpy

    class Found:
        def __init__(self, found):
            for name, value in vars(found).items():
                setattr(self, name, to_array(value))

    class Finder:
        def __init__(self, references, mirrored=None):
            mirrored = None if mirrored is None else given(mirrored)
            self.index = Index(given(references), method=method, mirrored=mirrored)

        def search(self, queries, k, own=False):
            return Found(self.index.search(given(queries), k, own=own))

        def within(self, queries, radius):
            return Found(self.index.within(given(queries), radius))

    return Finder


def points(n, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def brute(queries, references, k, own=False):
    distance = cdist(queries.astype(float), references.astype(float))
    if own:
        np.fill_diagonal(distance, np.inf)
    index = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distance, index, 1), index


def test_neighbors_are_those_of_brute_force(find):
    queries, references = points(300), points(200, seed=1)
    found = find(references).search(queries, 7)
    distance, index = brute(queries, references, 7)
    assert (found.index == index).all()
    np.testing.assert_allclose(found.distance, distance, rtol=1e-12)


def test_many_references_and_dimensions_are_searched_alike(find):
    queries, references = points(70, d=100), points(5000, d=100, seed=1) * 3 + 2
    references[[7, 3001]] = queries[[3, 4]]
    found = find(references).search(queries, 50)
    exact = nearest(queries, references, 50)
    assert found.distance[3, 0] == found.distance[4, 0] == 0
    recall = [len(set(a) & set(b)) / 50 for a, b in zip(found.index, exact.index, strict=True)]
    assert min(recall) > 0.5, "an approximate index finds most"
    assert (exact.index == brute(queries, references, 50)[1]).all()
    if not hasattr(find(references).index.faces[0].index, "nprobe"):
        assert np.mean(recall) > 0.95


def test_an_exact_copy_is_at_distance_zero_even_far_from_the_origin(find):
    references = points(100) + 1000
    found = find(references).search(references[[3, 50]], 2)
    assert (found.distance[:, 0] == 0).all()
    assert found.index[:, 0].tolist() == [3, 50]


def test_neighbors_far_from_the_origin_and_from_each_other_are_those_of_brute_force(find):
    far = np.where(np.arange(400) % 2, 3000, -3000)[:, None].astype(np.float32)
    references = points(400) + far
    found = find(references).search(references[:20], 9)
    assert (found.index == brute(references[:20], references, 9)[1]).all()


def test_ties_go_to_the_lower_index(find):
    references = np.concatenate([points(5), points(5)])
    found = find(references).search(points(5), 2)
    assert found.index.tolist() == [[i, i + 5] for i in range(5)]


def test_of_more_ties_than_candidates_the_lowest_are_found(find):
    references = points(600, seed=2) + 50
    references[100:300] = 0
    queries = np.concatenate([np.zeros((1, 8)), np.full((1, 8), 0.1)]).astype(np.float32)
    found = find(references).search(queries, 3)
    assert found.index.tolist() == [[100, 101, 102]] * 2
    assert found.distance[0].tolist() == [0, 0, 0]


def test_of_different_references_equally_far_the_lowest_are_found(find):
    references = np.eye(300, dtype=np.float32)[np.random.default_rng(0).permutation(300)]
    found = find(references).search(np.zeros((2, 300), dtype=np.float32), 40)
    assert (found.index == np.arange(40)).all()
    assert (found.distance == 1).all()


def test_no_row_is_its_own_neighbor_when_the_queries_are_the_references(find):
    references = np.concatenate([points(20), points(1)])  # the first and the last are equal
    found = find(references).search(references, 3, own=True)
    assert (found.index == brute(references, references, 3, own=True)[1]).all()
    assert found.index[0, 0] == 20
    assert found.distance[0, 0] == 0


def test_all_other_rows_are_neighbors_of_each_of_many_equal_ones(find):
    found = find(np.ones((30, 2), dtype=np.float32)).search(np.ones((30, 2), np.float32), 29, True)
    others = [[j for j in range(30) if j != i] for i in range(30)]
    assert found.index.tolist() == others


def test_a_mirrored_reference_is_as_far_as_the_nearer_of_its_two_sides(find):
    images = points(200 * 12).reshape(200, 3, 4, 8)
    references, mirrored = (a.reshape(200, -1) for a in (images, images[..., ::-1]))
    queries = np.concatenate([mirrored[:5], references[5:9], points(20, d=96, seed=3)])
    found = find(references, mirrored).search(queries, 6)
    both = np.minimum(
        cdist(queries.astype(float), references), cdist(queries.astype(float), mirrored)
    )
    assert (found.index == np.argsort(both, axis=1, kind="stable")[:, :6]).all()
    assert found.index[:9, 0].tolist() == list(range(9))
    assert (found.distance[:9, 0] == 0).all()
    own = find(references, mirrored).search(references, 150, own=True)
    assert not (own.index == np.arange(200)[:, None]).any()
    assert all(len(set(row)) == 150 for row in own.index.tolist()), "each at most once"


def test_a_symmetric_reference_is_one_neighbor(find):
    references = points(60)
    found = find(references, references.copy()).search(points(30, seed=1), 10)
    assert (found.index == brute(points(30, seed=1), references, 10)[1]).all()


def test_pairs_within_a_radius_are_those_of_brute_force(find):
    queries, references = points(150, d=4), np.concatenate([points(100, d=4), points(50, d=4) * 2])
    found = find(references).within(queries, 1.0)
    distance = cdist(queries.astype(float), references.astype(float))
    query, index = np.nonzero(distance < 1)
    assert len(query) > 200
    assert (found.query.tolist(), found.index.tolist()) == (query.tolist(), index.tolist())
    np.testing.assert_allclose(found.distance, distance[query, index], rtol=1e-12)


def test_within_no_radius_are_exact_copies_only(find):
    references = points(40) + 500
    references[7] = references[3]
    found = find(references, references + 1).within(references[:5], 0)
    assert list(zip(found.query.tolist(), found.index.tolist(), strict=True)) == [
        (0, 0), (1, 1), (2, 2), (3, 3), (3, 7), (4, 4),
    ]  # fmt: skip


def test_a_pair_near_by_both_sides_is_one_pair_at_the_smaller_distance():
    one = np.zeros((1, 2), dtype=np.float32)
    found = Index(one + 3, mirrored=one + 1).within(one, 10)
    assert (found.query.tolist(), found.index.tolist()) == ([0], [0])
    assert found.distance[0] == pytest.approx(2**0.5)


def test_all_exact_searches_give_the_same_to_the_bit(monkeypatch):
    queries, references = points(100, d=50), points(3000, d=50, seed=1)
    first = nearest(queries, references, 20)
    monkeypatch.setitem(sys.modules, "faiss", None)
    index = Index(references)
    assert index.faces[0].index is None, "faiss is hidden"
    second = index.search(queries, 20)
    assert (first.index == second.index).all()
    assert (first.distance == second.distance).all()


@pytest.mark.parametrize("method", ["ivf", "hnsw"])
def test_an_approximate_index_is_built_the_same_every_time(method):
    queries, references = points(50, d=32), points(4000, d=32, seed=1)
    one, two = (nearest(queries, references, 10, method=method) for _ in range(2))
    assert (one.index == two.index).all()


def test_candidates_come_from_the_index_asked_for():
    kinds = {m: type(Index(points(50), method=m).faces[0].index).__name__ for m in ENGINES[:3]}
    assert kinds == {"flat": "IndexFlatL2", "ivf": "IndexIVFFlat", "hnsw": "IndexHNSWFlat"}


def test_tensors_give_tensors():
    queries, references = points(30), points(40, seed=1)
    expected = nearest(queries, references, 4)
    for some in (torch.from_numpy(references), references):
        found = nearest(torch.from_numpy(queries).requires_grad_(), some, 4)
        assert isinstance(found.index, torch.Tensor)
        assert found.distance.device == torch.device("cpu")
        assert (found.index.numpy() == expected.index).all()
        assert (found.distance.numpy() == expected.distance).all()
    mixed = nearest(queries, torch.from_numpy(references), 4)
    assert isinstance(mixed.index, np.ndarray)


def test_a_process_that_rounds_products_coarsely_finds_the_same(monkeypatch):
    queries, references = torch.from_numpy(points(64, d=64)), torch.from_numpy(points(500, 64, 1))
    monkeypatch.setattr(candidates, "on_host", lambda tensor: False)
    expected = nearest(queries, references, 9).index
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = nearest(queries, references, 9)
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(found.index, expected)


def test_arrays_are_searched_without_torch():
    code = (
        "import sys, numpy as np\n"
        "from leakboard import likeness\n"
        "x = np.eye(9, dtype=np.float32)\n"
        "likeness.table(x, np.arange(9), x, np.arange(9), 3, 'l2', mirrored=x[:, ::-1])\n"
        "print('torch' in sys.modules, 'faiss' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False True\n", "")


def test_chunks_do_not_matter():
    queries, references = points(CHUNK + 10, d=4), points(30, d=4, seed=1)
    whole, part = nearest(queries, references, 3), nearest(queries[-20:], references, 3)
    assert (whole.index[-20:] == part.index).all()


@pytest.mark.parametrize("engine", ["flat", "without faiss"])
def test_memory_is_bounded_whatever_the_queries_references_and_dimensions(engine, monkeypatch):
    if engine == "without faiss":
        monkeypatch.setitem(sys.modules, "faiss", None)
    peaks = []
    for n, m, d in ((6000, 100, 3072), (100, 6000, 3072), (6000, 6000, 16)):
        queries, references = points(n, d), points(m, d, seed=1)
        tracemalloc.start()
        nearest(queries, references, min(50, m))
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    assert max(peaks) < 250, peaks  # MB; all gaps of the first would be 6000 x 50 x 3072 x 8 B


def test_rows_of_any_length_are_taken_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(candidates, "ROOM", 2**20)
    references = points(100, d=10**5)
    tracemalloc.start()
    nearest(references, references, 3, own=True)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert peak < 30, "MB; the rows themselves are 40, and centered ones would be as many"


def test_what_an_index_misses_altogether_is_looked_for():
    references = points(3000)
    index = Index(references, method="hnsw")

    class Blind:
        def search(self, queries, k):
            rows = np.full((len(queries), k), -1)
            rows[:, :2] = [0, 1]
            return np.where(rows < 0, np.float32(3e38), 0), rows

    index.faces[0].index = Blind()
    found = index.search(points(40, seed=1), 6)
    assert (found.index == brute(points(40, seed=1), references, 6)[1]).all()


def test_far_from_the_origin_the_candidates_are_not_in_doubt(monkeypatch):
    def unexpected(*args):
        raise AssertionError("all references were gone through")

    monkeypatch.setattr(Index, "_nearest_of_all", unexpected)
    references = points(400) + 1000
    found = nearest(references[:30], references, 5)
    assert (found.index == brute(references[:30], references, 5)[1]).all()


def test_too_few_references_are_refused(find):
    with pytest.raises(ValueError, match="5 neighbors asked for among 4"):
        find(points(4)).search(points(3), 5)
    with pytest.raises(ValueError, match="4 neighbors asked for among 3"):
        find(points(4)).search(points(4), 4, own=True)
    assert find(points(4)).search(points(3), 4).index.shape == (3, 4)


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match=r"queries are \(n, 8\), not \(3, 7\)"):
        nearest(points(3, 7), points(9), 1)
    with pytest.raises(ValueError, match="flat, ivf, hnsw, not 'kd-tree'"):
        Index(points(9), method="kd-tree")
    with pytest.raises(ValueError, match="references hold NaN"):
        Index(np.full((3, 2), np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="queries hold NaN"):
        nearest(np.full((3, 8), np.nan, dtype=np.float32), points(9), 1)
    with pytest.raises(ValueError, match="3 queries are not the 9 references"):
        nearest(points(3), points(9), 1, own=True)
    with pytest.raises(ValueError, match="references are"):
        Index(points(9), mirrored=points(8))


def test_no_queries_have_no_neighbors(find):
    assert find(points(9)).search(points(0), 2).index.shape == (0, 2)
    assert len(find(points(9)).within(points(0), 2).query) == 0


# --- the table -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("twins", ["after all", "beside"])
def test_with_every_reference_doubled_copies_and_near_copies_are_found_just_the_same(twins):
    references, names = points(80), np.arange(1000, 1080)
    queries = np.concatenate([references[:10], references[10:20] + 1e-3, points(10, seed=5)])
    how = (5, "l2")
    alone = table(queries, np.arange(30), references, names, *how)
    order = np.tile(np.arange(80), 2) if twins == "after all" else np.repeat(np.arange(80), 2)
    own = np.concatenate([names, names + 500]) if twins == "after all" else names[order]
    doubled = table(queries, np.arange(30), references[order], own, *how)
    assert doubled.equals(alone)
    assert (doubled["distance"] < doubled["runner_up"] / 3)[:20].all()
    assert (doubled["distance"] == 0)[:10].all()
    assert (doubled["neighbor"][:20] == names[:20]).all()


def test_mirror_images_of_each_other_count_once():
    images = points(20 * 6).reshape(20, 2, 3, 8)
    images = np.concatenate([images, images[..., ::-1]])
    references, mirrored = images.reshape(40, -1), images[..., ::-1].reshape(40, -1)
    assert distinct(references).tolist() == list(range(40))
    assert distinct(references, mirrored).tolist() == list(range(20))
    rows = table(references, np.arange(40), references, np.arange(40), 3, "l2", mirrored=mirrored)
    assert (rows["neighbor"] == np.tile(np.arange(20), 2)).all()
    assert (rows["distance"] == 0).all()
    assert (rows["runner_up"] > 0).all()


def test_the_two_zeros_are_equal():
    assert distinct(np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]])).tolist() == [0, 2]


def test_too_few_distinct_references_are_said_at_once():
    references = np.repeat(points(4), 3, axis=0)
    with pytest.raises(UserError, match="5 neighbors asked for among 12 images, of which 4 differ"):
        table(points(2), np.arange(2), references, np.arange(12), 5, "l2")
