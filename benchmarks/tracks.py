"""What the papers' tracks cost, counted and not run: `python benchmarks/tracks.py [TRACK ...]`.

Of each track its trainings, in floating-point operations, and the pictures of its defenses and
attacks; then the hours of a GPU that sustains 20 TFLOP/s, which is a guess for fp32 on a large one.
A network's operations are those of its convolutions and attention: tests/contracts/test_tracks.py
compares them with PyTorch's own count. What classifiers that steer, attacks and judges take is left
out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from leakboard import resolve
from leakboard.config import Resolved
from leakboard.plan import Plan

ROOT = Path(__file__).parents[1]
RATE = 20e12  # operations a second
IDLE = ("copy-machine", "noise")  # methods that ask no network


def operations(architecture: Mapping[str, Any], size: int, whole: bool = True) -> float:
    """Of one image of size x size through a U-Net, or through its down path and middle block."""
    widths, layers = architecture["block_out_channels"], architecture["layers_per_block"]
    last, count = len(widths) - 1, 0.0

    def conv(into: int, out: int, kernel: int = 3) -> None:
        nonlocal count
        count += 2 * into * out * kernel**2 * side**2

    def block(into: int, out: int, attends: bool) -> None:
        nonlocal count
        conv(into, out)
        conv(out, out)
        if into != out:
            conv(into, out, 1)
        if attends:
            count += 2 * (4 * out**2 * side**2 + 2 * out * side**4)

    side, now = size, widths[0]
    conv(3, now)
    skips = [now]
    for k, (width, kind) in enumerate(zip(widths, architecture["down_block_types"], strict=True)):
        for _ in range(layers):
            block(now, width, "Attn" in kind)
            skips.append(now := width)
        if k < last:
            side //= 2
            conv(now, now)
            skips.append(now)
    block(now, now, True)
    block(now, now, False)
    if not whole:
        return count
    ups = zip(reversed(widths), architecture["up_block_types"], strict=True)
    for k, (width, kind) in enumerate(ups):
        for _ in range(layers + 1):
            block(now + skips.pop(), width, "Attn" in kind)
            now = width
        if k < last:
            side *= 2
            conv(now, now)
    conv(now, 3)
    return count


def trainings(board: Resolved) -> dict[str, float]:
    """network -> operations of its training; a step back costs twice a step forward."""
    plan, found = Plan(board), {}
    size = board.track.dataset.size or 32
    for name in plan.every_training:
        entry, kind = plan.network(name), plan.kind(name)
        if kind not in ("denoiser", "classifier"):
            continue
        shape = getattr(board.track.architecture, kind)
        once = operations(shape, size, whole=kind == "denoiser")
        how = entry.training
        images = how["steps"] * how["stop_after"] * how["batch_size"]
        found[name] = images * once * (3 + bool(entry.teachers))  # a teacher answers too
    return found


def pictures(board: Resolved) -> tuple[float, int]:
    """Operations of one set of pictures, and how many sets a network draws."""
    plan, draw = Plan(board), board.track.sampling
    once = operations(board.track.architecture.denoiser, board.track.dataset.size or 32)
    plain = sum(entry.method not in IDLE for entry in board.defenses.values())
    steered = sum(
        len(plan.drawn_from(family, sees)) * (len(plan.samplers(family)) - 1)
        for family, sees in plan.extractions
    )
    return draw.images * draw.steps * once, plain + steered


def hours(board: Resolved) -> float:
    """Of all trainings and all pictures."""
    each, sets = pictures(board)
    return (sum(trainings(board).values()) + each * sets) / RATE / 3600


def main() -> None:
    shared = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    for name in sys.argv[1:] or sorted(f.stem for f in (ROOT / "config/tracks").glob("*.yaml")):
        board = resolve.read({**shared, "tracks": [name]}, "config/config.yaml", [ROOT])[name]
        taught, (each, sets) = trainings(board), pictures(board)
        said = ", ".join(f"{network} {work / 1e18:.2f}" for network, work in taught.items())
        print(f"{name}: {sum(taught.values()) / 1e18:.2f} EFLOP of trainings ({said});")
        print(f"  {sets} sets of pictures, {each / 1e15:.0f} PFLOP each; {hours(board):.0f} hours")


if __name__ == "__main__":
    main()
