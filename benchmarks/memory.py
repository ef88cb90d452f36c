"""What the jobs hold at most with 50,000 pictures, 50,000 members and 50,000 held-out images.

python benchmarks/memory.py [COUNT] [JOB ...]     # from the root; all jobs, 50,000 of each

The very steps that the workflow runs, each in a process of its own, to its end, whose peak of
resident memory is told (budget 4 GB). Images are of the size of CIFAR-10. `embed_pools` and `embed`
are of `pixels` (3,072 numbers); what reads features is given made-up ones, of 2,048 numbers as
Inception's, of 512 as SSCD's, or of 3,072 with mirror images. The networks' own share is that of
their architectures with random weights, on 100 images: it does not grow with the number of images.
"""

import argparse
import atexit
import json
import os
import resource
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

BUDGET, SIDE, SOME = 4.0, 32, 100
NETWORKS = ("inception", "sscd", "dino_vitb16", "dinov2_vitg14")  # of `untrained`
STEPS = Path(__file__).parents[1] / "workflow"
SUBSET = "subset"  # the spec of what is made up stands for its digest
Given = tuple[str, dict[str, Any], dict[str, Any], str]  # step, spec, inputs, name of the output


def images(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def vectors(seed: int, n: int, d: int) -> np.ndarray:
    """Features that are all at least 0, as Inception's; of length 1, as SSCD's, where d is 512."""
    rng = np.random.default_rng(seed)
    found = np.empty((n, d), dtype=np.float32)
    for part in np.array_split(found, 100):
        part[:] = np.abs(rng.standard_normal(part.shape, dtype=np.float32))
        if d == 512:
            part /= np.linalg.norm(part, axis=1, keepdims=True)
    return found


def stored(path: Path, spec: Any, **arrays: np.ndarray) -> None:
    """An artefact as `artefacts.write_npz` writes it, but not compressed, which takes long."""
    from leakboard import artefacts

    np.savez(path, **{"about": np.array(artefacts.about(spec)), **arrays})  # type: ignore[arg-type]


def made_up(folder: Path, n: int) -> None:
    """The subset's two files, and a set of pictures."""
    pools = ["members"] * n + ["held-out"] * n
    lines = [f"{i},{pool},,1,0" for i, pool in enumerate(pools)]
    (folder / "split.csv").write_text("\n".join(["index,pool,half,times,label", *lines]) + "\n")
    labels = np.zeros(2 * n, dtype=np.int64)
    stored(folder / "images.npz", SUBSET, images=images(0, 2 * n), labels=labels)
    stored(folder / "samples.npz", "samples", images=images(1, n), asked=labels[:n] - 1)


def features(folder: Path, n: int, d: int, mirrored: bool = False) -> None:
    """Features of all images and of the pictures, in place of those of a network."""
    import pandas as pd

    from leakboard import artefacts

    made_up(folder, n)
    views = ("real", "altered", *(["mirrored"] if mirrored else []))
    stored(folder / f"pools{d}.npz", f"pools{d}", **dict.fromkeys(views, vectors(0, 2 * n, d)))
    stored(folder / f"drawn{d}.npz", f"drawn{d}", features=vectors(1, n, d))
    near = np.linspace(0.5, 0.9, n)
    table = pd.DataFrame({"sample": np.arange(n), "neighbor": np.arange(n), "similarity": 1 - near})
    table = table.assign(distance=near, runner_up=near, mean_k=near)
    artefacts.write_table(folder / "table.parquet", "table", table)


def pixels(step: str) -> Callable[[Path, int], Given]:
    def given(folder: Path, n: int) -> Given:
        made_up(folder, n)
        about = {"method": "pixels", "params": {}, "network": None}
        spec = {"stage": step, "extractor": about, "mirrored": True, "subset": _digest(SUBSET)}
        if step == "embed":
            spec |= {"samples": _digest("samples"), "batch": 250}
        samples, pools = [str(folder / "samples.npz")], str(folder / "images.npz")
        return step, spec, {"images": pools, "samples": samples}, "features.npz"

    return given


def searched(step: str, d: int, measure: str) -> Callable[[Path, int], Given]:
    def given(folder: Path, n: int) -> Given:
        features(folder, n, d, mirrored=d == 3072)
        search = {"k": 50, "measure": measure, "method": "flat"}
        pools = "pools" if step == "similarity" else "features"
        spec = {"stage": step, "features": _digest(f"drawn{d}"), "search": search}
        return step, spec | {pools: _digest(f"pools{d}")}, _inputs(folder, d), "table.parquet"

    return given


def judged(step: str) -> Callable[[Path, int], Given]:
    def given(folder: Path, n: int) -> Given:
        features(folder, n, 2048)
        about = {"about": {"reported": {}}, "extractor": "inception"}
        at = {"features": _digest("drawn2048"), "pools": _digest("pools2048")}
        spec: dict[str, Any] = {"stage": step, **at, "background": _digest("table")}
        space = {"extractor": "inception", "measure": "l2"}
        if step == "describe":
            spec |= {**about, "how": {**space, "alpha": 0.5}}
        else:
            spec |= {"features": [at["features"]], "cells": [{**about, **at}]}
        return step, spec, _inputs(folder, 2048), "cell.json"

    return given


def _digest(spec: Any) -> str:
    from leakboard.digests import digest

    return digest(spec)


def _inputs(folder: Path, d: int) -> dict[str, Any]:
    return {
        "features": str(folder / f"drawn{d}.npz"),
        "pools": str(folder / f"pools{d}.npz"),
        "split": str(folder / "split.csv"),
        "background": str(folder / "table.parquet"),
    }


def network(name: str) -> Callable[[Path, int], Given]:
    """`embed` of some pictures by an extractor with a network from elsewhere."""

    def given(folder: Path, n: int) -> Given:
        import untrained

        from leakboard import plugins
        from leakboard.files import sha256

        method, make = untrained.NETWORKS[name]
        params = plugins.params("extractors", method, make(folder))
        about = {"method": method, "params": params, "network": None}
        about["weights"] = sha256(Path(params["weights"]))
        samples = folder / "some.npz"
        stored(samples, "some", images=images(1, SOME), asked=np.full(SOME, -1))
        spec = {"stage": "embed", "extractor": about, "samples": _digest("some"), "batch": SOME}
        return "embed", spec, {"samples": [str(samples)]}, "features.npz"

    return given


JOBS: dict[str, Callable[[Path, int], Given]] = {
    "embed_pools, pixels": pixels("embed_pools"),
    "embed, pixels": pixels("embed"),
    **{f"embed, {name}, {SOME} pictures": network(name) for name in NETWORKS},
    "background, 2,048": searched("background", 2048, "l2"),
    "similarity, 512": searched("similarity", 512, "cosine"),
    "similarity, 2,048": searched("similarity", 2048, "l2"),
    "similarity, 3,072, mirrored": searched("similarity", 3072, "rms"),
    "quality, 2,048": judged("quality"),
    "describe, 2,048": judged("describe"),
}


def prepare(job: str, folder: Path, count: int) -> None:
    """The inputs of a job, and what it is told, in a folder."""
    step, spec, inputs, output = JOBS[job](folder, count)
    (folder / "job.json").write_text(json.dumps([step, spec, inputs, output]))


def run(folder: Path) -> None:
    """A step as the workflow runs it; its peak in GB, once it is over, in a file `peak`."""
    step, spec, inputs, output = json.loads((folder / "job.json").read_text())
    given = {"network": [], "shards": [], "code": [], **inputs}
    atexit.register(lambda: (folder / "peak").write_text(str(held())))
    sys.modules["__main__"].__dict__["snakemake"] = snakemake = SimpleNamespace(
        input=_Named(given),
        output=SimpleNamespace(features=str(folder / output), table=str(folder / output)),
        params=SimpleNamespace(spec=json.dumps(spec)),
        log=[str(folder / "log")],
    )
    snakemake.output.cell = str(folder / output)
    runpy.run_path(str(STEPS / f"{step}.py"), {"snakemake": snakemake})


class _Named(SimpleNamespace):
    """Snakemake's inputs: attributes that are listed by name too."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(**given)
        self.items = given.items


def held() -> float:
    """The peak of this process, in GB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


def measure(job: str, count: int) -> None:
    """One row: the job in a process of its own, its inputs made by another."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--in", folder]
        subprocess.run([*command, "--prepare", job, str(count)], check=True)
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(STEPS), *sys.path[1:]])}
        done = subprocess.run([*command, "--run"], env=env, check=False)
        if done.returncode:
            sys.exit(f"{job}: {Path(folder, 'log').read_text(encoding='utf-8')}")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        peak = float(Path(folder, "peak").read_text())
    wall = time.monotonic() - begun
    print(f"| {job} | {peak:.2f} | {took:,.0f} | {wall:,.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="how many, and parts of the names of jobs")
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    count = next((int(word) for word in args.words if word.isdecimal()), 50_000)
    names = [word for word in args.words if not word.isdecimal()]
    if args.prepare:
        prepare(args.prepare, args.folder, count)
    elif args.run:
        run(args.folder)
    else:
        print(
            f"| {count:,} of each | GB (budget {BUDGET:g}) | processor s | s |\n|---|---|---|---|"
        )
        sys.stdout.flush()
        for job in JOBS:
            if not names or any(name in job for name in names):
                measure(job, count)
