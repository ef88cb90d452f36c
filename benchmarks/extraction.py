"""What SIDE costs: against plain drawing, and as the number of pictures grows.

OMP_NUM_THREADS=1 python benchmarks/extraction.py        # from the root

The default track's networks, untrained: a step costs the same. A lambda is drawn in batches, so its
cost is a line through 0 in the number of pictures; a grid of lambdas, and each of its shards, are
jobs of their own. Processor time, all in turn in one process; the first round warms up.
"""

import statistics
import time
from pathlib import Path

import torch
import yaml

from leakboard import networks
from leakboard.attacks.side import Attack
from leakboard.diffusion import Denoiser, Parts, Schedule
from leakboard.plugins import load
from leakboard.sampling import Extraction, Target, draw

COUNTS, CLASSES, ROUNDS = (250, 500, 1000, 2000), 75, 3

torch.set_num_threads(1)  # as in a job
track = yaml.safe_load(Path("config/tracks/digits.yaml").read_text(encoding="utf-8"))
built = track["architecture"]
torch.manual_seed(0)
net = networks.build("denoiser", built["denoiser"], 8, 1).eval().requires_grad_(False)
teacher = networks.build("encoder", built["encoder"], 8, 1, outputs=CLASSES)
student = networks.student(teacher).eval().requires_grad_(False)
parts = Parts([Denoiser(net, Schedule.linear())])
target = Target(load("defenses", "none", {}), parts.denoisers, parts, (1, 8, 8), torch.tensor([]))
how = {"sampler": "ddim", "steps": 50, "batch_size": 250, "clip_sample": False}
spec = {"track": "benchmark", "seed": 0, "sampling": how}
attacks = {"plain": None, "SIDE": Extraction(Attack(lambda_=5.0), student, CLASSES)}
took: dict[tuple[str, int], list[float]] = {(a, n): [] for a in attacks for n in COUNTS}
for _ in range(ROUNDS + 1):
    for name, n in took:
        begun = time.process_time()
        draw(target, spec, 0, n, attacks[name])
        took[name, n].append(time.process_time() - begun)
first = COUNTS[0]
for name in attacks:
    for n in COUNTS:
        seconds = took[name, n][1:]
        ratios = [s / base for s, base in zip(seconds, took[name, first][1:], strict=True)]
        print(
            f"{name:6} {n:5} pictures: {1000 * statistics.median(seconds) / n:6.2f} ms each, "
            f"{statistics.median(ratios):5.2f} times {first} (a line through 0: {n / first:g})"
        )
for n in COUNTS:
    ratios = [a / b for a, b in zip(took["SIDE", n][1:], took["plain", n][1:], strict=True)]
    print(
        f"SIDE / plain, {n} pictures: {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )
