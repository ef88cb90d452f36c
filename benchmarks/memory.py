"""What the jobs hold at most with 50,000 pictures and 50,000 real images of the size of CIFAR-10.

python benchmarks/memory.py [COUNT] [JOB ...]     # from the root; all jobs, 50,000 a side

Each job's own code on pictures and features (2,048 float32, as Inception's) made up on the spot, in
a process of its own, whose peak of resident memory is told (budget 4 GB). Embedding runs an
extractor of so many features that costs nothing, so what is told is what holding the images takes.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FEATURES, BUDGET = 2048, 4.0


def pixels(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def vectors(seed: int, n: int) -> np.ndarray:
    """Features that are all at least 0, as Inception's, a block at a time."""
    rng = np.random.default_rng(seed)
    found = np.empty((n, FEATURES), dtype=np.float32)
    for part in np.array_split(found, 100):
        part[:] = np.abs(rng.standard_normal(part.shape, dtype=np.float32))
    return found


def extract():
    """An extractor's own code around the first numbers of each image."""
    import torch

    from leakboard.features import Extract

    class Cheap:
        measure = "rms"

        def features(self, images, net):
            return images.flatten(1)[:, :FEATURES].contiguous()

    made = object.__new__(Extract)
    made.method, made.measure, made.net, made.device = Cheap(), "rms", None, torch.device("cpu")
    return made


def embed_pools(n: int, folder: Path) -> None:
    from leakboard import artefacts

    images, embed = pixels(0, n), extract()
    views = {"real": embed(images), "altered": embed(images, alter=True)}
    views["mirrored"] = embed(np.ascontiguousarray(images[:, :, ::-1]))
    artefacts.write_npz(folder / "pools.npz", {}, **views)


def embed(n: int, folder: Path) -> None:
    from leakboard import artefacts, features

    none = np.zeros(n, dtype=np.int64)
    artefacts.write_npz(folder / "0.npz", {}, images=pixels(1, n), asked=none)
    found = features.of_pictures(extract(), [folder / "0.npz"], None, 250)  # type: ignore[arg-type]
    artefacts.write_npz(folder / "features.npz", {}, **found)


def similarity(n: int, folder: Path) -> None:
    from leakboard import likeness

    real, drawn = vectors(0, n), vectors(1, n)
    likeness.table(drawn, np.arange(n), real, np.arange(n), 50, "rms")


def quality(n: int, folder: Path) -> None:
    from leakboard.quality import quality

    for row in quality(vectors(0, n), vectors(1, n), "inception"):
        print(row.metric, row.value, file=sys.stderr)


JOBS = {f.__name__: f for f in (embed_pools, embed, similarity, quality)}


def held() -> float:
    """The peak of this process, in GB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word in JOBS]
    count = next((int(word) for word in sys.argv[1:] if word.isdigit()), 50_000)
    if "--job" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.process_time()
            JOBS[given[0]](count, Path(folder))
            took = time.process_time() - begun
        print(f"| {given[0]} | {held():.2f} | {took:,.0f} |", flush=True)
    else:
        print(f"| {count:,} a side | GB (budget {BUDGET:g}) | processor seconds |\n|---|---|---|")
        sys.stdout.flush()
        for job in given or JOBS:
            subprocess.run([sys.executable, __file__, "--job", job, str(count)], check=True)
