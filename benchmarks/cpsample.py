"""What CPSample adds to sampling on the digits track: the ratio to none, pair by pair in one run.

python benchmarks/cpsample.py        # from the root, after `make leaderboard`
"""

import json
import statistics
import sys

import torch
import yaml

from leakboard import resolve, sampling
from leakboard.plan import Plan

ROUNDS, PICTURES = 5, 250

torch.set_num_threads(1)  # as in a job
with open("config/config.yaml", encoding="utf-8") as file:
    shared = yaml.safe_load(file)
plan = Plan(resolve.read(shared, "config/config.yaml", [sampling.Path()])["digits"])
predictors = {}
for defense in ("none", "cpsample"):
    weights = [
        f"results/digits/networks/{name}/seed0/diffusion_pytorch_model.safetensors"
        for name in plan.networks_of(defense)
    ]
    spec = json.loads(json.dumps(plan.samples(defense, "plain", 0)))
    folder = "results/digits/subset"
    predictors[defense] = (
        *sampling.guarded(spec, weights, f"{folder}/images.npz", f"{folder}/split.csv"),
        spec,
    )
ratios = []
for _ in range(ROUNDS + 1):
    took = {
        name: sampling.draw(predictor, shape, spec, 0, PICTURES)[1]
        for name, (predictor, shape, spec) in predictors.items()
    }
    ratios.append(took["cpsample"] / took["none"])
    print(f"none {took['none']:.2f} s   cpsample {took['cpsample']:.2f} s", file=sys.stderr)
ratios = ratios[1:]  # the first round warms up
print(f"cpsample / none: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
