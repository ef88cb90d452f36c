"""How long planning takes, and how much of a board's time goes into starting jobs.

python benchmarks/planning.py                                  # the default track
python benchmarks/planning.py --defenses 10 --attacks 15 --seeds 5
python benchmarks/planning.py --defenses 12 --lambdas 51 --images 50000 --shards 2
python benchmarks/planning.py --finished FOLDER                # where a board is finished

Nothing is run: the default configuration, enlarged with copies of its own entries, is planned in a
temporary clone (`snakemake -n`). Seconds are processor seconds, user and system: medians.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DRY = ["-m", "snakemake", "-n", "--quiet", "rules"]
# Seconds of a job on the default track, of which its start: the mean of a whole run of it, two at
# a time, on two cores. What is not here takes OTHER.
JOBS = {
    "train": (37, 4.8),
    "sample": (14.1, 4.8),
    "attack": (7.7, 4.8),
    "attack_shard": (7.7, 4.8),
    "embed": (2.2, 1.6),
    "embed_shard": (2.2, 1.6),
    "embed_pools": (2.3, 1.6),
    "similarity": (1.5, 1.2),
    "membership": (3.4, 1.2),
    "figures": (8.0, 1.2),
    "compare": (5.1, 1.2),
    # one defense of nine took 2.1 and 4.9 seconds with its start
    "copying": (1.2 + 9 * 0.9, 1.2),
    "quality": (2.9 + 9 * 2.0, 2.9),
}
OTHER = (1.8, 1.2)
SLURM = 5.2  # of a job that SLURM starts, before all that: Snakemake, twice


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    for name in ("defenses", "attacks", "seeds", "lambdas", "images", "shards"):
        asked.add_argument(f"--{name}", type=int)
    asked.add_argument(
        "--finished", type=lambda path: Path(path).resolve(), help="a folder with a finished board"
    )
    asked.add_argument("--rounds", type=int, default=3)
    given = asked.parse_args()
    if given.finished:
        found = [spent(["-m", "leakboard.cli", "run"], given.finished) for _ in range(given.rounds)]
        assert "Nothing to be done" in found[0][2], found[0][2]
        return print(
            f"nothing to do: {told([f[0] for f in found])} s, {told([f[1] for f in found])} s wall"
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = clone(Path(temporary))
        enlarge(folder, given)
        imports = [spent(["-c", "import snakemake.cli"], folder)[0] for _ in range(given.rounds)]
        parse = ["-m", "snakemake", "--list-rules"]
        parsed = [spent(parse, folder)[0] for _ in range(given.rounds)]
        plans = [spent(DRY, folder) for _ in range(given.rounds)]
    jobs = counted(plans[0][2])
    for rule, count in sorted(jobs.items(), key=lambda item: -item[1]):
        print(f"{rule:16}{count:8,}")
    print(f"{'jobs':16}{sum(jobs.values()):8,}")
    print(
        f"planning: {told([p[0] for p in plans])} s, {told([p[1] for p in plans])} s wall, of which"
    )
    print(f"  Snakemake's imports {told(imports)}, with the reading of the workflow {told(parsed)}")
    for where, more in (("jobs of the default track's size", 0.0), ("under SLURM", SLURM)):
        each = [(n, *(more + s for s in JOBS.get(rule, OTHER))) for rule, n in jobs.items()]
        total, start = (sum(n * s[i] for n, *s in each) for i in (0, 1))
        print(f"{where}: {total / 60:.0f} min, of which start {start / total:.0%}")


def spent(arguments: list[str], folder: Path) -> tuple[float, float, str]:
    """Processor seconds and wall seconds of a Python process in a folder, and what it said."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = [sys.executable, *arguments]
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    env = {**os.environ, "PYTHONPATH": str(folder / "workflow")}  # the package of that folder
    done = subprocess.run(run, cwd=folder, env=env, check=False, **out)  # type: ignore[call-overload]
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, done.stdout


def told(seconds: list[float]) -> str:
    """The median of some runs, and their range."""
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


def counted(said: str) -> dict[str, int]:
    """rule -> jobs, from what a dry run says."""
    table = said.split("Job stats:")[1]
    found = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    return {rule: count for rule, count in found.items() if rule not in ("total", "all")}


def clone(folder: Path) -> Path:
    """The sources and the configuration, without results."""
    for name in ("Snakefile", "rules", "workflow", "profiles", "config"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    return folder


def enlarge(folder: Path, given: argparse.Namespace) -> None:
    """Make the default track as large as is asked for, with copies of its own entries."""
    shared, track = folder / "config/config.yaml", folder / "config/tracks/digits.yaml"
    config, own = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (shared, track))
    if given.seeds:
        own["seeds"] = list(range(given.seeds))
    if given.shards:
        own["shards"] = given.shards
    if given.images:
        own["sampling"] |= {"images": given.images, "extraction_images": given.images}
    if given.defenses:
        names = [name for name in config["defenses"] if own["defenses"].get(name, {}) is not None]
        plain = [n for n in names if config["defenses"][n].get("role") is None]
        for number in range(given.defenses - len(plain)):
            network = {**config["networks"]["base"], "training": {"steps": 100 + number}}
            config["networks"][f"other-{number}"] = network
            config["defenses"][f"other-{number}"] = {"denoisers": [f"other-{number}"]}
            plain.append(f"other-{number}")
        for name in plain[given.defenses :]:
            own["defenses"][name] = None
        drop(own, plain[given.defenses :])
    if given.attacks:
        scoring = [name for name in config["attacks"] if own["attacks"].get(name, {}) is not None]
        for number in range(given.attacks - len(scoring)):
            entry: dict[str, Any] = {"method": "secmi", "params": {"t": 50 + number}}
            config["attacks"][f"other-{number}"] = entry
        for name in scoring[given.attacks :]:
            own["attacks"][name] = None
    if given.lambdas:
        values = [round(10 * k / max(given.lambdas - 1, 1), 2) for k in range(given.lambdas)]
        against = [n for n, e in config["defenses"].items() if e.get("role") is None]
        against = [n for n in against if own["defenses"].get(n, {}) is not None]
        own["attacks"]["side"] = {"sweep": {"lambda": values}, "against": against}
    shared.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    track.write_text(yaml.safe_dump(own, sort_keys=False), encoding="utf-8")


def drop(own: dict[str, Any], names: list[str]) -> None:
    """Leave defenses out of what attacks are tried on."""
    for entry in filter(None, own["attacks"].values()):
        if "against" in entry:
            entry["against"] = [name for name in entry["against"] if name not in names]


if __name__ == "__main__":
    main()
