"""What AMG adds to sampling at the size of CIFAR-10, with all images of a file as members.

OMP_NUM_THREADS=1 python benchmarks/amg.py CIFAR_IMAGES.npz [narrow]     # from the root

The network is DDPM's for CIFAR-10, of 36 M parameters (`narrow`: one of 2 M), untrained, so no
sample comes near a member; without a gate each step pushes each sample that is looked at all the
same. Defended and undefended drawings take turns, in processor time. Few pictures at once make the
search wait for memory: it reads all members at every step.
"""

import statistics
import sys
import time

import numpy as np
import torch
from diffusers import UNet2DModel

from leakboard import plugins
from leakboard.diffusion import Denoiser, Parts, Schedule, sample
from leakboard.features import Space
from leakboard.images import to_float
from leakboard.randomness import PerImage

SIZES = {
    "narrow": {
        "block_out_channels": (32, 64, 64, 64),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    },
    "wide": {
        "block_out_channels": (128, 256, 256, 256),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    },
}
ROUNDS = 3

size = "narrow" if "narrow" in sys.argv else "wide"
pictures, steps = (50, 20) if size == "narrow" else (16, 5)
torch.set_num_threads(1)  # as in a job
with np.load(sys.argv[1]) as archive:
    members, labels = to_float(archive["images"]), torch.from_numpy(archive["labels"])
torch.manual_seed(0)
net = UNet2DModel(sample_size=32, layers_per_block=2, attention_head_dim=None, **SIZES[size]).eval()
extractor = plugins.load("extractors", "pixels", {})
space = Space(extractor.features, extractor.measure, members, labels)
parts = Parts([Denoiser(net, Schedule.linear())], members=members, space=space)
variants = {
    "none": ("none", {}),
    "amg": ("amg", {}),
    "amg, no gate": ("amg", {"gate": False, "scale": 1e-6}),
    "amg, no pauses": ("amg", {"quiet": 0}),
}
rounds = []
for _ in range(ROUNDS + 1):
    took = {}
    for name, (method, params) in variants.items():
        defense = plugins.load("defenses", method, params)
        begun = time.process_time()
        noise = PerImage("benchmark", indices=range(pictures))
        sample(defense.guard(parts), noise, (3, 32, 32), steps=steps)
        took[name] = time.process_time() - begun
    rounds.append(took)
count = sum(p.numel() for p in net.parameters()) / 1e6
each = 1000 * statistics.median(took["none"] for took in rounds[1:]) / pictures / steps
print(f"{count:.1f} M parameters, {len(members)} members; none: {each:.1f} ms an evaluation")
for name in variants:
    ratios = [took[name] / took["none"] for took in rounds[1:]]  # the first round warms up
    shown = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{name:14} / none: {shown}")
