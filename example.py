"""Does a defense stop a model from drawing copies? By hand, on images made on the spot.

python example.py        # seconds, no training: the exact denoiser of a finite set memorizes
"""

import torch

from leakboard.attacks import secmi
from leakboard.defenses import cpsample
from leakboard.diffusion import Parts, Schedule, sample
from leakboard.measures.membership import auc
from leakboard.measures.similarity import calibrated_threshold
from leakboard.oracles import Empirical, RandomLabelPosterior, draw
from leakboard.randomness import PerImage
from leakboard.trainers.random_labels import Trainer

members, strangers = draw(50, seed=1), draw(500, seed=2)
schedule = Schedule.linear()
model = Empirical(members, schedule)  # E[x_0 | x_t] of the members: it can draw nothing else

# The defense: a classifier of random labels (here the exact one) says when to turn away.
coins = Trainer().labels(torch.arange(50))
parts = Parts([model], RandomLabelPosterior(members, coins, schedule))
defended = cpsample.Defense(alpha=0.25, scale=4.0).guard(parts)


def nearest(images: torch.Tensor) -> torch.Tensor:
    """The distance of each image to its nearest member, (n,)."""
    return torch.cdist(images.flatten(1), members.flatten(1)).min(1).values


# A copy is what at most one in a thousand strangers reaches.
threshold = calibrated_threshold((-nearest(strangers)).numpy(), rate=0.001)
is_member = (torch.arange(550) < 50).numpy()
audited = torch.cat([members, strangers])
for name, predictor in {"none": model, "cpsample": defended}.items():
    pictures = sample(predictor, PerImage("example", indices=range(200)), (1, 8, 8), steps=50)
    copies = (-nearest(pictures) > threshold).float().mean()
    scores = secmi.Attack().score(predictor, audited, PerImage("attack", indices=range(550)))
    print(f"{name:9} copies {copies:6.1%}   SecMI AUC {auc(scores.numpy(), is_member):.3f}")
