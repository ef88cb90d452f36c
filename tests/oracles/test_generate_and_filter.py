"""Generate and filter, where it is known which pictures were drawn again and again."""

import networkx
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from leakboard import cliques
from leakboard.attacks.generate_and_filter import Attack
from leakboard.oracles import draw


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def strangers(n, seed=0):
    return torch.rand(n, 1, 8, 8, generator=generator(seed)) * 2 - 1


def memorizing(times=20, noise=0.02):
    """Five images drawn again and again, with a little noise, among 200 strangers; shuffled."""
    sources = strangers(5, seed=1)
    copies = sources.repeat(times, 1, 1, 1)
    copies = copies + noise * torch.randn(copies.shape, generator=generator(2))
    pictures = torch.cat([copies, strangers(200, seed=3)])
    order = torch.randperm(len(pictures), generator=generator(4))
    return pictures[order], sources


@pytest.mark.parametrize("tiles", [1, 4])
def test_one_picture_of_each_memorized_image_is_kept(tiles):
    pictures, sources = memorizing()
    rows = Attack(tiles=tiles).keep(pictures)
    assert rows.dtype == torch.long
    assert rows.tolist() == sorted(set(rows.tolist()))
    gaps = torch.cdist(pictures[rows].flatten(1), sources.flatten(1)) / 8 / 2  # RMS on [0, 1]
    assert sorted(gaps.argmin(1).tolist()) == [0, 1, 2, 3, 4]
    assert (gaps.min(1).values < 0.02).all()


def test_the_same_is_found_in_blocks(monkeypatch):
    pictures, _ = memorizing()
    whole = Attack().keep(pictures)
    monkeypatch.setattr(cliques, "BLOCK", 7)
    assert torch.equal(Attack().keep(pictures), whole)


def test_strangers_are_not_kept():
    assert Attack().keep(strangers(300)).tolist() == []
    assert Attack().keep(strangers(0)).shape == (0,)
    assert Attack().keep(strangers(1)).shape == (0,)


def test_an_image_drawn_once_too_few_is_not_kept():
    assert len(Attack(clique=10).keep(memorizing(times=10)[0])) == 5
    assert len(Attack(clique=10).keep(memorizing(times=9)[0])) == 0


def gray(*levels):
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 8, 8) * 2 - 1


def test_a_chain_is_no_clique():
    chain = gray(0.0, 0.08, 0.16)  # each near the next, the ends not near one another
    assert Attack(clique=3).keep(chain).tolist() == []
    assert len(Attack(clique=2).keep(chain)) == 1  # one connected group, not two
    assert Attack(clique=3, distance=0.17).keep(chain).tolist() == [1]  # the middle of all
    ring = gray(0.0, 0.08, 0.16, 0.24, 0.32)
    assert Attack(clique=3).keep(ring).tolist() == []


def test_a_group_with_a_clique_in_it_is_one_and_stood_for_by_the_clique():
    # A clique of four (rows 4 to 7) at the end of a chain.
    pictures = gray(0.0, 0.08, 0.16, 0.24, 0.32, 0.33, 0.34, 0.35)
    (row,) = Attack(clique=4).keep(pictures).tolist()
    assert row in (5, 6)


def test_what_is_strictly_nearer_than_the_distance_is_the_same():
    pictures = gray(0.0, 0.5)
    assert Attack(clique=2, distance=0.5).keep(pictures).tolist() == []
    assert len(Attack(clique=2, distance=0.5001).keep(pictures)) == 1


@pytest.mark.parametrize("clique", [2, 3, 10])
def test_the_order_of_the_pictures_decides_nothing(clique):
    pictures, _ = memorizing(noise=0.1)  # so much that many groups are no cliques
    attack = Attack(clique=clique, distance=0.07)
    kept = {pictures[i].numpy().tobytes() for i in attack.keep(pictures)}
    assert kept
    for seed in range(5):
        other = pictures[torch.randperm(len(pictures), generator=generator(seed))]
        assert {other[i].numpy().tobytes() for i in attack.keep(other)} == kept


def test_of_identical_pictures_the_lowest_row_is_kept():
    pictures = strangers(4).repeat(12, 1, 1, 1)
    assert Attack().keep(pictures).tolist() == [0, 1, 2, 3]


def test_pictures_that_differ_in_one_tile_are_one_without_tiles_and_two_with():
    background = draw(1)[0]
    face, other = background.clone(), background.clone()
    face[:, :2, :2], other[:, :2, :2] = 0.3, -0.3  # RMS 0.3 in the tile, 0.075 in all
    pictures = torch.stack([face, other] * 10)
    assert len(Attack().keep(pictures)) == 1
    assert Attack(tiles=4).keep(pictures).tolist() == [0, 1]
    assert Attack(tiles=4, clique=11).keep(pictures).tolist() == []


@pytest.mark.parametrize("clique", [2, 3, 4, 6])
def test_as_many_groups_are_found_as_by_going_through_all_cliques(clique):
    sizes = set()
    for seed in range(20):  # points of a plane: pictures of two pixels
        points = torch.rand(60, 1, 1, 2, generator=generator(seed)) * 2 - 1
        apart = torch.cdist(*[points.double().flatten(1)] * 2) / 2 / 2**0.5
        near = torch.triu(apart < 0.1, 1).nonzero().tolist()
        core = networkx.k_core(networkx.Graph(near), clique - 1)
        parts = [core.subgraph(part) for part in networkx.connected_components(core)]
        held = [g for g in parts if any(len(c) >= clique for c in networkx.find_cliques(g))]
        rows = Attack(clique=clique).keep(points).tolist()
        assert len(rows) == len(held)
        assert all(sum(row in g for row in rows) == 1 for g in held)
        sizes.add(len(rows))
    assert len(sizes) > 1


def test_a_clique_that_greed_walks_past_is_found():
    # A triangle, each corner of which is also a neighbor of a hub with more neighbors than it.
    edges = [(0, 1), (0, 2), (1, 2)]
    for corner in range(3):
        hub = 3 + 6 * corner
        edges += [(corner, hub), *((hub, hub + i) for i in range(1, 6))]
    a, b = np.array(edges + [edge[::-1] for edge in edges]).T
    graph = csr_array((np.ones(a.size, dtype=bool), (a, b)))
    assert cliques._clique(graph, 3).tolist() == [0, 1, 2]
    assert cliques._clique(graph, 4).tolist() == []


def test_the_distance_is_the_largest_rms_of_a_tile():
    a, b = strangers(6, seed=5), strangers(7, seed=6)
    brute = torch.stack(
        [
            (a[:, None] - b[None])[..., i : i + 2, j : j + 2].double().square().mean((-3, -2, -1))
            for i in range(0, 8, 2)
            for j in range(0, 8, 2)
        ]
    ).amax(0)
    for exact in (False, True):
        found = cliques.distances(cliques.tiled(a, 4), cliques.tiled(b, 4), exact=exact)
        torch.testing.assert_close(found, brute.sqrt() / 2)


def test_pictures_that_cannot_be_cut_are_refused():
    with pytest.raises(ValueError, match="8 x 8 pictures cannot be cut into 3 x 3 equal tiles"):
        Attack(tiles=3).keep(strangers(4))
