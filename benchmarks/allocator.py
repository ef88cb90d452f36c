"""What keeping freed memory saves: drawing and training, with glibc's settings and with ours.

OMP_NUM_THREADS=1 python benchmarks/allocator.py
"""

import os
import subprocess
import sys
import time
from statistics import median

from leakboard.run import KEEP_MEMORY

ROUNDS = 5


def times() -> tuple[float, float]:
    """Seconds of one evaluation of 250 pictures and of one training step of 64, of `digits`."""
    import torch
    import yaml

    from leakboard import networks

    torch.set_num_threads(1)
    with open("config/tracks/digits.yaml", encoding="utf-8") as file:
        net = networks.build(
            "denoiser", yaml.safe_load(file)["architecture"]["denoiser"], size=8, channels=1
        )
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    drawn, trained = [], []
    for _ in range(20):
        begun = time.perf_counter()
        with torch.no_grad():
            net(torch.randn(250, 1, 8, 8), torch.tensor(5))
        drawn.append(time.perf_counter() - begun)
    for _ in range(20):
        begun = time.perf_counter()
        net(torch.randn(64, 1, 8, 8), torch.arange(64)).sample.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        trained.append(time.perf_counter() - begun)
    return median(drawn), median(trained)


def child(settings: dict[str, str]) -> tuple[float, float]:
    """`times()` in a process of its own: the allocator reads its settings once."""
    plain = {name: value for name, value in os.environ.items() if name not in KEEP_MEMORY}
    done = subprocess.run(
        [sys.executable, __file__, "times"],
        env=plain | settings,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    one, two = map(float, done.stdout.split())
    return one, two


if __name__ == "__main__":
    if sys.argv[1:] == ["times"]:
        print(*times())
    else:
        pairs = [(child({}), child(KEEP_MEMORY)) for _ in range(ROUNDS)]
        for i, name in enumerate(("drawing", "training")):
            ratios = [kept[i] / plain[i] for plain, kept in pairs]
            plain = median(p[i] for p, _ in pairs)
            print(
                f"{name:9} {1000 * plain:5.1f} ms; with kept memory x {median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
