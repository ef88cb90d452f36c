"""Nearest neighbors: exact distances, ties broken by index, whichever library does the search.

A library (FAISS, or torch where FAISS cannot go) finds a few more candidates than are asked for,
by the expanded square |q|^2 + |r|^2 - 2 q.r in float32. Distances are then computed in float64 by
subtraction, which alone decides. Where rounding, or a tie at the end of the candidates, could have
kept a nearer or earlier reference out of them, all references that near are gone through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakboard.candidates import (
    CHUNK,
    METHODS,
    Floats,
    Ints,
    Side,
    center,
    full_precision,
    host,
    like,
    plain,
    runs,
    squares,
)

Features = Any  # (n, d) of numbers: a NumPy array or a torch tensor
MARGIN = 8  # candidates beyond those asked for
FEW = 256  # doubtful queries at once
ROUNDING = 2.0**-24  # half a unit in the last place of float32


@dataclass(frozen=True)
class Neighbors:
    """Distances, float64, nearest first, and the rows of the references, int64; both (n, k)."""

    distance: Any
    index: Any


@dataclass(frozen=True)
class Pairs:
    """Rows of queries and of references, int64, and their distances, float64; all (n,)."""

    query: Any
    index: Any
    distance: Any


class Index:
    """References to search, (m, d), in Euclidean distance.

    method: "flat" is exact. "ivf" (inverted lists, the 64 nearest of 4 sqrt(m) searched) and "hnsw"
    (a graph of 32 links) are for millions of references and approximate: they may miss neighbors,
    but the distances of those they find are exact. Both are built the same at every call, hnsw for
    that on one thread. Without FAISS, and for tensors on a device, the search is exact.
    mirrored: (m, d), features of the mirrored references; a reference is as far as the nearer of
    its two. Tensors give tensors on the queries' device; NumPy arrays give NumPy arrays, and import
    torch only where FAISS is missing. Beside FAISS's own copy, memory does not grow with m or with
    the queries. Raises ValueError for NaN, shapes that do not fit, or an unknown method.
    """

    def __init__(
        self, references: Features, *, method: str = "flat", mirrored: Features | None = None
    ) -> None:
        if method not in METHODS:
            raise ValueError(f"an index is {', '.join(METHODS)}, not {method!r}")
        given = [references] if mirrored is None else [references, mirrored]
        rows = [plain(each) for each in given]
        if rows[0].ndim != 2 or any(each.shape != rows[0].shape for each in rows):
            raise ValueError(f"references are (m, d), not {[tuple(r.shape) for r in rows]}")
        self.size, self.dimension = rows[0].shape
        self.center = center(rows[0])
        self.faces = [Side(each, self.center, method) for each in rows]
        self.reach = max(face.reach for face in self.faces)

    def search(self, queries: Features, k: int, *, own: bool = False) -> Neighbors:
        """The k nearest references of each query, (n, d) -> (n, k).

        own: the queries are the references, and no row is its own neighbor.
        Raises ValueError if there are fewer than k references.
        """
        if not 1 <= k <= self.size - own:
            raise ValueError(f"{k} neighbors asked for among {self.size - own} references")
        rows = self._queries(queries)
        if own and len(rows) != self.size:
            raise ValueError(f"{len(rows)} queries are not the {self.size} references")
        distance, index = np.empty((len(rows), k)), np.empty((len(rows), k), dtype=np.int64)
        with full_precision(rows):
            for part in runs(len(rows), CHUNK, self.dimension, 4 * (k + MARGIN)):
                numbers = np.arange(self.size)[part] if own else None
                gap, index[part] = self._nearest(rows[part], k, numbers)
                distance[part] = np.sqrt(gap)
        return Neighbors(like(distance, queries), like(index, queries))

    def within(self, queries: Features, radius: float) -> Pairs:
        """All pairs nearer than the radius, and exact copies: by query, then by reference. Exact.

        Memory grows with the number of pairs.
        """
        rows = self._queries(queries)
        found: list[tuple[Ints, Ints, Floats]] = []
        with full_precision(rows):
            for part in runs(len(rows), CHUNK, self.dimension):
                some = rows[part]
                for query, row, gap in self._near(some, np.full(len(some), radius**2)):
                    near = (np.sqrt(gap) < radius) | (gap == 0)
                    found.append((query[near] + part.start, row[near], np.sqrt(gap[near])))
        query, row, gap = _joined(found)
        order = np.lexsort((gap, row, query))
        order = order[_first(query[order], row[order])]  # of the two sides of a reference one
        return Pairs(*(like(a[order], queries) for a in (query, row, gap)))

    def _queries(self, queries: Features) -> Any:
        rows = plain(queries)
        if rows.ndim != 2 or rows.shape[1] != self.dimension:
            raise ValueError(f"queries are (n, {self.dimension}), not {tuple(rows.shape)}")
        if isinstance(self.center, np.ndarray) or isinstance(rows, np.ndarray):
            return like(host(rows), self.center)
        return rows.to(self.center.device)

    def _nearest(self, queries: Any, k: int, own: Ints | None) -> tuple[Floats, Ints]:
        """Squared distances and rows, (n, k); own: (n,), the references left out, if any."""
        wanted = min(k + (own is not None) + MARGIN, self.size)
        centered = queries - self.center
        found, edge = [], np.full(len(queries), np.inf)
        for face in self.faces:
            near, rows = face.candidates(centered, wanted)
            query, column = np.nonzero(rows >= 0)
            row = rows[query, column]
            found.append((query, row, face.gaps(queries, query, row)))
            if wanted < self.size:  # nothing that was left out is nearer than the farthest found
                edge = np.minimum(edge, np.where((rows < 0).any(1), -np.inf, near.max(1)))
        gap, index = _ranked(*_joined(found), len(queries), k, own)
        doubtful = np.flatnonzero(~(gap[:, -1] < edge - self._slack(centered)))
        for part in runs(len(doubtful), FEW):
            some = doubtful[part]
            left = None if own is None else own[some]
            gap[some], index[some] = self._nearest_of_all(queries[some], k, gap[some, -1], left)
        return gap, index

    def _nearest_of_all(
        self, queries: Any, k: int, limit: Floats, own: Ints | None
    ) -> tuple[Floats, Ints]:
        """As `_nearest`, among all references at squared distances up to a limit (n,)."""
        n = len(queries)
        gap, index = np.full((n, k), np.inf), np.full((n, k), -1, dtype=np.int64)
        for query, row, new in self._near(queries, limit):
            old = np.nonzero(index >= 0)
            joined = _joined([(old[0], index[old], gap[old]), (query, row, new)])
            gap, index = _ranked(*joined, n, k, own)
            np.minimum(limit, gap[:, -1], out=limit)  # the search goes on with it
        return gap, index

    def _near(self, queries: Any, limit: Floats) -> Iterator[tuple[Ints, Ints, Floats]]:
        """Pairs and squared distances: all within a squared limit (n,), and some a bit farther."""
        centered = queries - self.center
        beyond = self._slack(centered) - squares(centered)  # a block leaves out the query's square
        for face in self.faces:
            for part in face.blocks:
                most = (limit + beyond).astype(np.float32)
                most = like(np.nextafter(most, np.float32(np.inf)), queries)
                query, row = np.nonzero(host(face.block(centered, part) <= most[:, None]))
                row += part.start
                yield query, row, face.gaps(queries, query, row)

    def _slack(self, centered: Any) -> Floats:
        """How far off a squared distance in float32 may be: the bound for a dot product."""
        largest = (np.sqrt(squares(centered)) + self.reach) ** 2
        if not (largest < np.finfo(np.float32).max).all():
            raise ValueError("queries hold NaN, or values too large for float32")
        return (self.dimension + 16) * ROUNDING * largest


def nearest(queries: Features, references: Features, k: int, **how: Any) -> Neighbors:
    """The k nearest references of each query; how: `own`, and what an `Index` is built with."""
    own = how.pop("own", False)
    return Index(references, **how).search(queries, k, own=own)


def _ranked(
    query: Ints, row: Ints, gap: Floats, n: int, k: int, own: Ints | None
) -> tuple[Floats, Ints]:
    """The k best of each query's pairs, (n, k); inf and -1 where there are fewer."""
    if own is not None:
        other = row != own[query]
        query, row, gap = query[other], row[other], gap[other]
    order = np.lexsort((gap, row, query))
    order = order[_first(query[order], row[order])]
    query, row, gap = query[order], row[order], gap[order]
    order = np.lexsort((row, gap, query))
    query, row, gap = query[order], row[order], gap[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    best = rank < k
    gaps, rows = np.full((n, k), np.inf), np.full((n, k), -1, dtype=np.int64)
    gaps[query[best], rank[best]] = gap[best]
    rows[query[best], rank[best]] = row[best]
    return gaps, rows


def _first(*sorted_by: Ints) -> NDArray[np.bool_]:
    """Which entries differ from the one before."""
    new = np.ones(len(sorted_by[0]), dtype=bool)
    new[1:] = np.logical_or.reduce([a[1:] != a[:-1] for a in sorted_by])
    return new


def _joined(parts: list[tuple[Ints, Ints, Floats]]) -> tuple[Ints, Ints, Floats]:
    none = np.zeros(0, dtype=np.int64)
    query, row, gap = zip((none, none, np.zeros(0)), *parts, strict=True)
    return np.concatenate(query), np.concatenate(row), np.concatenate(gap)
