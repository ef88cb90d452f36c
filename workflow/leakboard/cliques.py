"""Which pictures were drawn again and again: groups of pictures that are all near one another."""

from __future__ import annotations

import hashlib

import networkx
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

Ints = NDArray[np.int64]
BLOCK = 2048  # pictures on a side of what is compared at once
ROWS = 256  # the same, where it is done by subtraction


def tiled(pictures: Tensor, tiles: int) -> Tensor:
    """The pictures cut into tiles x tiles tiles: (n, c, h, w) -> (tiles^2, n, values of a tile).

    Scaled so that a Euclidean distance of tiles is their RMS difference in [0, 1] pixels, float64.
    ValueError if a side cannot be cut into so many.
    """
    n, c, h, w = pictures.shape
    if h % tiles or w % tiles:
        raise ValueError(f"{h} x {w} pictures cannot be cut into {tiles} x {tiles} equal tiles")
    cut = pictures.double().reshape(n, c, tiles, h // tiles, tiles, w // tiles)
    cut = cut.permute(2, 4, 0, 1, 3, 5).flatten(3).flatten(0, 1)
    return cut / (2 * cut.shape[-1] ** 0.5)


def distances(a: Tensor, b: Tensor, *, exact: bool = False) -> Tensor:
    """The largest distance over tiles: (t, n, p), (t, m, p) -> (n, m).

    exact: by subtraction, slower; else identical pictures may be 1e-8 apart.
    """
    mode = "donot_use_mm_for_euclid_dist" if exact else "use_mm_for_euclid_dist"
    found = torch.zeros(a.shape[1], b.shape[1], dtype=a.dtype, device=a.device)
    for one, other in zip(a, b, strict=True):  # tile by tile: all at once would not fit
        torch.maximum(found, torch.cdist(one, other, compute_mode=mode), out=found)
    return found


def near(cut: Tensor, distance: float) -> Tensor:
    """All pairs i < j that are nearer than the distance, (e, 2), in ascending order.

    Memory grows with the pairs found, not with all pairs.
    """
    n, found = cut.shape[1], []
    for i in range(0, n, BLOCK):
        for j in range(i, n, BLOCK):
            close = distances(cut[:, i : i + BLOCK], cut[:, j : j + BLOCK]) < distance
            pairs = close.nonzero() + torch.tensor([i, j], device=cut.device)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]].cpu())
    return torch.cat(found) if found else torch.zeros(0, 2, dtype=torch.long)


def representatives(pictures: Tensor, distance: float, clique: int, tiles: int) -> Tensor:
    """One picture of each group that was drawn again and again: rows (k,), long, ascending.

    A group is a connected part of the graph of near pictures, without those that have too few
    neighbors to be in a clique, that holds a clique of at least `clique` pictures. It is stood for
    by the picture of that clique with the least mean distance to the others; of equals by the first
    in an order that depends on content alone, so the order of the pictures decides nothing but
    between identical ones, where the lower row is taken.
    """
    rows = _by_content(pictures)
    cut = tiled(pictures[rows.to(pictures.device)], tiles)
    kept = []
    for part, graph in _parts(near(cut, distance).numpy(), len(rows), clique - 1):
        found = part[_clique(graph, clique)]
        if len(found):
            apart = [
                distances(cut[:, some], cut[:, found], exact=True).mean(1)
                for some in torch.from_numpy(found).split(ROWS)
            ]
            kept.append(found[int(torch.cat(apart).cpu().numpy().argmin())])  # the first of equals
    return rows[torch.tensor(kept, dtype=torch.long)].sort().values


def _parts(edges: Ints, n: int, degree: int) -> list[tuple[Ints, csr_array]]:
    """The connected parts of the core, where all have so many neighbors: their nodes, and graph."""
    both = np.concatenate([edges, edges[:, ::-1]])
    graph = csr_array((np.ones(len(both), dtype=bool), (both[:, 0], both[:, 1])), shape=(n, n))
    nodes = np.arange(n)
    while (few := np.diff(graph.indptr) < degree).any():
        nodes, graph = nodes[~few], graph[~few][:, ~few]
    count, label = connected_components(graph, directed=False)
    members = [np.flatnonzero(label == part) for part in range(count)]
    return [(nodes[own], graph[own][:, own]) for own in members]


def _clique(graph: csr_array, size: int) -> Ints:
    """The nodes of one clique of at least this size, ascending, or none. Exact.

    Greedy first, from each node, by falling degree; where that finds none, all maximal cliques.
    """
    order = np.argsort(-np.diff(graph.indptr), kind="stable")
    for start in order:
        found, open_ = [start], _row(graph, start)
        for node in order:
            if open_[node]:
                found.append(node)
                open_ &= _row(graph, node)
        if len(found) >= size:
            return np.sort(found)
    whole = networkx.from_edgelist(
        sorted(zip(*map(np.ndarray.tolist, graph.nonzero()), strict=True))
    )
    cliques = (sorted(c) for c in networkx.find_cliques(whole) if len(c) >= size)
    return np.array(next(cliques, []), dtype=np.int64)


def _row(graph: csr_array, node: int) -> NDArray[np.bool_]:
    """Which nodes are neighbors of one, (n,)."""
    found = np.zeros(graph.shape[0], dtype=bool)
    found[graph.indices[graph.indptr[node] : graph.indptr[node + 1]]] = True
    return found


def _by_content(pictures: Tensor) -> Tensor:
    """An order of the rows in which only identical pictures keep the order they came in."""
    marks = [hashlib.sha256(p.numpy().tobytes()).digest() for p in pictures.cpu().contiguous()]
    return torch.tensor(sorted(range(len(marks)), key=marks.__getitem__), dtype=torch.long)
