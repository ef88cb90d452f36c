"""What each defense adds to sampling on the digits track: the ratio to none, all in one run.

OMP_NUM_THREADS=1 python benchmarks/sampling.py        # from the root, after `make leaderboard`
"""

import json
import statistics

import torch
import yaml

from leakboard import resolve, sampling
from leakboard.plan import Plan

ROUNDS, PICTURES = 5, 250

torch.set_num_threads(1)  # as in a job
with open("config/config.yaml", encoding="utf-8") as file:
    shared = yaml.safe_load(file)
plan = Plan(resolve.read(shared, "config/config.yaml", [sampling.Path()])["digits"])
targets = {}
for defense in plan.board.defenses:
    weights = [
        f"results/digits/networks/{name}/seed0/diffusion_pytorch_model.safetensors"
        for name in (*plan.networks_of(defense), *plan.eyes_of(defense))
    ]
    spec = json.loads(json.dumps(plan.samples(defense, "plain", 0)))
    folder = "results/digits/subset"
    made = sampling.guarded(spec, weights, f"{folder}/images.npz", f"{folder}/split.csv")
    targets[defense] = (made, spec)
rounds = []
for _ in range(ROUNDS + 1):
    took = {
        name: sampling.draw(target, spec, 0, PICTURES)["seconds"]
        for name, (target, spec) in targets.items()
    }
    rounds.append({name: seconds / took["none"] for name, seconds in took.items()})
for name in targets:
    ratios = [each[name] for each in rounds[1:]]  # the first round warms up
    shown = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{name:10} / none: {shown}")
