"""How fast the neighbor search is, as a share of the machine's matrix products, and what it holds.

python benchmarks/neighbors.py CIFAR_IMAGES.npz [METHOD ...]     # from the root

The file's `images` (n, 32, 32, 3) are each other's queries; then a million random vectors of 512
numbers are searched. Methods: flat, torch (the flat search without FAISS), ivf, hnsw (of a million
only when named: its graph takes the better part of an hour on one core). Products and searches take
turns; the best of each counts, on a machine that others use too.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from leakboard.neighbors import Index

K, ROUNDS = 50, 3
METHODS = {"cifar": ["flat", "torch", "ivf", "hnsw"], "random": ["flat", "torch", "ivf"]}


def vectors(case: str, images: str) -> tuple[np.ndarray, np.ndarray]:
    """Queries and references."""
    if case == "cifar":
        with np.load(images) as archive:
            pixels = archive["images"]
        flat = pixels.reshape(len(pixels), -1).astype(np.float32) / 255 / 3072**0.5
        return flat, flat
    rng = np.random.default_rng(0)
    references = np.empty((1_000_000, 512), dtype=np.float32)
    for part in np.array_split(references, 100):
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
    return rng.standard_normal((2048, 512), dtype=np.float32), references


def product_rate(queries: np.ndarray, references: np.ndarray) -> float:
    """Multiplications and additions per second of torch's matrix product, best of 3."""
    q, r = torch.from_numpy(queries[:2048]), torch.from_numpy(references[:12_000]).T
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        q @ r
        took.append(time.perf_counter() - begun)
    return 2 * q.shape[0] * r.shape[1] * q.shape[1] / min(took)


def held(what: str) -> float:
    """Megabytes of this process: VmRSS, now; VmHWM, at most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{what}:")[2].split()[0]) * 1024 / 1e6


def recall(found: np.ndarray, queries: np.ndarray, references: np.ndarray, case: str) -> float:
    """The share of the nearest that were found."""
    exact = Index(references).search(queries, K + 1).index
    exact = exact[:, 1:] if case == "cifar" else exact[:, :K]  # without the query itself
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(found, exact, strict=True)]))


def measured(case: str, method: str, images: str) -> None:
    """One row of the table, in a process of its own, so that the peak is of this search."""
    if method == "torch":
        sys.modules["faiss"] = None  # type: ignore[assignment]
    queries, references = vectors(case, images)
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    begun = time.perf_counter()
    index = Index(references, method="flat" if method == "torch" else method)
    built = time.perf_counter() - begun
    rate, took, peak = 0.0, np.inf, 0.0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        found = index.search(queries, K, own=case == "cifar")
        took = min(took, time.perf_counter() - begun)
        peak = peak or held("VmHWM") - before
        rate = max(rate, product_rate(queries, references))
    share = 2 * len(queries) * references.size / took / rate
    kept = "1"
    if method in ("ivf", "hnsw"):
        kept = f"{recall(found.index[:256], queries[:256], references, case):.2f}"
    print(
        f"| {case} | {method} | {built:.1f} | {len(queries) / took:,.0f} | {share:.2f} "
        f"| {rate / 1e9:.0f} | {peak:,.0f} | {kept} |",
        flush=True,
    )


if len(sys.argv) == 4 and sys.argv[2] in METHODS:
    measured(sys.argv[2], sys.argv[3], sys.argv[1])
else:
    print(
        "| vectors | method | build, s | queries/s | share | product, GFLOP/s | MB more | recall |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for case, methods in METHODS.items():
        for method in sys.argv[2:] or methods:
            subprocess.run([sys.executable, __file__, sys.argv[1], case, method], check=True)
