"""Candidates for the nearest neighbors, found by FAISS, or by torch where FAISS cannot go.

Both compare by the expanded square |q|^2 + |r|^2 - 2 q.r in float32: fast, and a bit off. Arrays
here are NumPy arrays, or torch tensors on a device.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
METHODS = ("flat", "ivf", "hnsw")
CHUNK, BLOCK = 4096, 2048  # queries, references at once
ROOM = 2**24  # numbers of one array: 64 MB of float32
SPAN, DEVICE_SPAN = 2**18, 2**26  # numbers subtracted at once: what fits a core's cache, a device
GPU_MOST = 2048  # candidates that FAISS can select on a GPU


class Side:
    """One side of the references, with what finds candidates among them.

    Centered, because the expanded square loses small differences far from the origin.
    """

    def __init__(self, rows: Any, center: Any, method: str) -> None:
        self.rows, self.center = rows, center
        self.blocks = runs(len(rows), BLOCK, rows.shape[1])
        lengths = (squares(rows[part] - center) for part in self.blocks)
        norms = np.concatenate([np.zeros(0), *lengths])
        if not np.isfinite(norms).all():
            raise ValueError("references hold NaN or infinite values")
        self.reach = float(np.sqrt(norms.max(initial=0)))
        self.norms = like(norms.astype(np.float32), rows)
        self.most, self.threads = len(rows), 1
        self.index = self._built(method) if isinstance(rows, np.ndarray) else None

    def _built(self, method: str) -> Any:
        """An index of FAISS, or None without FAISS."""
        try:
            import faiss
        except ImportError:
            import torch

            self.threads = torch.get_num_threads()
            return None
        m, d = self.rows.shape
        gpus = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
        self.threads = faiss.omp_get_max_threads()
        index: Any
        if method == "flat":
            index = faiss.IndexFlatL2(d)
        elif method == "ivf":
            lists = max(1, min(int(4 * m**0.5), m // 39))  # FAISS asks for 39 points a list
            index = faiss.IndexIVFFlat(faiss.IndexFlatL2(d), d, lists)
            index.nprobe = min(64, lists)
            index.train(self.rows[:: max(1, m // (64 * lists))] - self.center)
        else:
            index, gpus = faiss.IndexHNSWFlat(d, 32), 0
            index.hnsw.efConstruction, index.hnsw.efSearch = 100, 256
            faiss.omp_set_num_threads(1)  # links depend on the order of insertion
        for part in self.blocks:
            index.add(self.rows[part] - self.center)
        faiss.omp_set_num_threads(self.threads)
        if gpus:
            self.most, index = GPU_MOST, faiss.index_cpu_to_all_gpus(index)
        return index

    def candidates(self, centered: Any, wanted: int) -> tuple[NDArray[np.float32], Ints]:
        """Squared distances and rows, (n, wanted), in any order; row -1: fewer were found."""
        if self.index is not None and wanted <= self.most:
            if hasattr(self.index, "hnsw"):
                self.index.hnsw.efSearch = max(256, 2 * wanted)
            return self.index.search(centered, wanted)
        import torch

        near = rows = torch.zeros(0)
        for part in self.blocks:
            block = torch.as_tensor(self.block(centered, part))
            new, row = block.topk(min(wanted, block.shape[1]), largest=False, sorted=False)
            row += part.start
            if part.start:
                new, row = torch.cat([near, new], 1), torch.cat([rows, row], 1)
                new, kept = new.topk(min(wanted, new.shape[1]), largest=False, sorted=False)
                row = row.gather(1, kept)
            near, rows = new, row
        return host(near), host(rows)

    def block(self, centered: Any, part: slice) -> Any:
        """Squared distances to some of the references, by the expanded square."""
        block = centered @ (self.rows[part] - self.center).T
        block *= -2
        block += self.norms[part]
        block += like(squares(centered).astype(np.float32), centered)[:, None]
        return block

    def gaps(self, queries: Any, query: Ints, row: Ints) -> Floats:
        """Squared distances of pairs, (n,), by subtraction in float64."""
        gap = np.empty(len(query))
        span = SPAN if isinstance(queries, np.ndarray) else DEVICE_SPAN
        step = max(1, span // max(1, self.rows.shape[1]))

        def fill(i: int) -> None:
            q, r = query[i : i + step], row[i : i + step]
            if isinstance(queries, np.ndarray):
                part = np.subtract(queries[q], self.rows[r], dtype=np.float64)
                gap[i : i + step] = np.einsum("ij,ij->i", part, part)
            else:
                part = queries[like(q, queries)].double() - self.rows[like(r, queries)]
                gap[i : i + step] = host(part.square().sum(1))

        with ThreadPoolExecutor(self.threads) as pool:  # NumPy lets go of the interpreter
            list(pool.map(fill, range(0, len(query), step)))
        return gap


def runs(n: int, most: int, *widths: int) -> list[slice]:
    """Numbers below n, `most` at once, or as many as keep an array of each width small."""
    step = max(1, min([most, *(ROOM // max(1, width) for width in widths)]))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def plain(array: Any) -> Any:
    """Float32 rows: as a tensor where they are a tensor on a device, else as a NumPy array."""
    if hasattr(array, "detach"):
        array = array.detach()
        if not on_host(array):
            return array.float().contiguous()
        array = array.cpu().float().numpy()
    return np.ascontiguousarray(array, dtype=np.float32)


def on_host(tensor: Any) -> bool:
    """Whether NumPy can look at a tensor where it is."""
    return bool(tensor.device.type == "cpu")


def like(array: NDArray[Any], model: Any) -> Any:
    """An array as the model is: a NumPy array, or a tensor on its device."""
    if isinstance(model, np.ndarray):
        return array
    import torch

    return torch.from_numpy(array).to(model.device)


def host(array: Any) -> NDArray[Any]:
    """An array or tensor as a NumPy array."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def squares(rows: Any) -> Floats:
    """Squared lengths of float32 rows."""
    if isinstance(rows, np.ndarray):
        return np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return host(rows.double().square().sum(1))


def center(rows: Any) -> Any:
    """The mean of float32 rows, as float32."""
    total = np.zeros(rows.shape[1])
    for part in runs(len(rows), BLOCK, rows.shape[1]):
        if isinstance(rows, np.ndarray):
            total += rows[part].sum(0, dtype=np.float64)
        else:
            total += host(rows[part].double().sum(0))
    return like((total / max(1, len(rows))).astype(np.float32), rows)


@contextmanager
def full_precision(rows: Any) -> Iterator[None]:
    """Products of tensors in all of float32, whatever the process has chosen."""
    if isinstance(rows, np.ndarray):
        yield
        return
    import torch

    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(chosen)
