"""leakboard beside the peers' own public code, on the same weights, images and machine.

python benchmarks/peers.py --peers FOLDER [--images CIFAR_IMAGES.npz] [NAME ...]     # from the root

FOLDER holds clones of the peers, which nobody ships with this; without it the commands that make
them are printed. The network is DDPM's for CIFAR-10 (35.7 M parameters, untrained unless --weights
names a diffusers folder), the same object for both. What the peers do not measure is left out of
their modules: data loading, logging, plots. Where there is no GPU, their `.cuda()` does nothing.
Peer and leakboard take turns; a ratio is the median of the rounds' ratios. Seconds are those of
the processor, whoever else uses the machine (--clock wall for those of the wall). How often each
asks the network about an image is counted, not taken from anybody's word. Peers ask about as many
images at once as their own scripts do (--batch another number), with memory as glibc has it.
"""

import argparse
import importlib
import os
import pickle
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from scipy.stats import spearmanr

from leakboard import allocator, networks, quality
from leakboard.attacks import pia, secmi
from leakboard.diffusion import Denoiser, Schedule, sample
from leakboard.neighbors import nearest
from leakboard.precision import Asked
from leakboard.randomness import PerImage

CLONES = {
    "SecMI": "https://github.com/jinhaoduan/SecMI",
    "PIA": "https://github.com/kong13661/PIA",
    "DCR": "https://github.com/somepago/DCR",
    "torch-fidelity": "https://github.com/toshas/torch-fidelity",
}
DDPM = {
    "block_out_channels": [128, 256, 256, 256],
    "layers_per_block": 2,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "attention_head_dim": None,
    "norm_eps": 1e-6,
}
BETAS = (1e-4, 0.02, 1000)
BATCH = {"secmi": 128, "pia": 64}  # SecMI's script: 1,024, its flags: 128
GLIBC = (2**25, 2**26)  # its limits once a block of 32 MB was freed
ASKED = [0]  # about how many images the network was asked so far
Run = Callable[[], Any]


def peer(folder: Path, name: str, module: str, *left_out: str) -> Any:
    """A module of a peer's clone, without what it imports and is not measured."""
    if not (folder / name).is_dir():
        sys.exit(f"{folder / name}: not there; make it with\n  git clone {CLONES[name]} {name}")
    parts = module.split(".")
    sys.path.insert(0, str(folder / name))
    sys.path.insert(0, str(folder.joinpath(name, *parts[:-1])))
    for other in left_out:
        if other.partition(".")[0] not in sys.modules or not _there(other):
            sys.modules[other] = MagicMock()
    return importlib.import_module(parts[-1])


def _there(name: str) -> bool:
    with suppress(ImportError):
        return importlib.import_module(name) is not None
    return False


def attacks(args: argparse.Namespace, name: str) -> None:
    """Images/s of SecMI or PIA by its authors' code and by ours, and whether scores agree."""
    net, schedule = network(args), Schedule.linear()
    unit = torch.from_numpy(pixels(args)).permute(0, 3, 1, 2).float().div(255).to(args.device)
    images = unit * 2 - 1
    rng = PerImage("benchmark", indices=range(len(unit)))
    attack: Any = secmi.Attack() if name == "secmi" else pia.Attack()

    def ours(asked: Any) -> Run:
        target = Denoiser(asked, schedule)
        return lambda: -attack.score(target, images, rng)

    def model(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return net(x, t).sample

    theirs = secmi_peer(args, model, unit) if name == "secmi" else pia_peer(args, model, unit)
    runs = {**theirs, **{name: ours(asked) for name, asked in ways(args, net).items()}}
    took, found, asked = rounds(args, runs)
    first = next(iter(theirs))
    for key in runs:
        scores = np.asarray(found[key], dtype=np.float64)
        rho = spearmanr(scores, np.asarray(found[first])).statistic if len(scores) > 2 else 1.0
        told = f"Spearman with {first} {rho:.5f}; asks {asked[key] / len(unit):g} times an image"
        row(
            name, key, f"{len(unit) / statistics.median(took[key]):.2f} images/s", took, first, told
        )


def secmi_peer(args: argparse.Namespace, model: Any, unit: torch.Tensor) -> dict[str, Run]:
    code = peer(
        *(args.peers, "SecMI", "mia_evals.secmia"),
        *("dataset_utils", "absl", "absl.flags", "tqdm"),
    )
    sys.modules["tqdm"].tqdm = lambda some: some  # type: ignore[attr-defined]
    code.tqdm.tqdm = lambda some: some
    for function in (code.ddim_singlestep, code.ddim_multistep):
        function.__defaults__ = tuple(
            args.device if value == "cuda" else value for value in function.__defaults__
        )
    flags = SimpleNamespace(beta_1=BETAS[0], beta_T=BETAS[1], T=BETAS[2])

    def run() -> torch.Tensor:
        loader = [(part,) for part in unit.split(args.batch or BATCH["secmi"])]
        made = code.get_intermediate_results(model, flags, loader, 100, 10)
        gap = made["internal_diffusions"] - made["internal_denoise"]
        return (gap**2).flatten(1).sum(-1)

    return {"SecMI's code": run}


def pia_peer(args: argparse.Namespace, model: Any, unit: torch.Tensor) -> dict[str, Run]:
    code = peer(args.peers, "PIA", "DDPM.components")

    class Getter(code.EpsGetter):  # type: ignore[misc, name-defined]
        def __call__(self, xt, condition=None, noise_level=None, t=None):  # type: ignore[no-untyped-def]
            return self.model(xt, torch.full((len(xt),), t, device=xt.device))

    betas = torch.linspace(*BETAS, dtype=torch.float64).to(args.device)

    def run(interval: int, number: int) -> torch.Tensor:
        attacker = code.PIA(betas, interval, number, Getter(model), lambda x: x * 2 - 1)
        with torch.no_grad():
            parts = unit.split(args.batch or BATCH["pia"])
            return torch.cat([attacker(part)[-1] for part in parts])

    return {"PIA's code, t = 200 alone": lambda: run(200, 1)}


def fidelity(args: argparse.Namespace) -> None:
    """Seconds of one FID from given features, and whether the two agree."""
    code = peer(args.peers, "torch-fidelity", "torch_fidelity.metric_fid", *TORCHVISION)
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((2048, 2048), dtype=np.float32) / 45
    real, drawn = (
        np.abs(rng.standard_normal((args.features, 2048), dtype=np.float32) @ mix + shift)
        for shift in (0, 0.05)
    )

    def theirs() -> float:
        stats = [code.fid_features_to_statistics(torch.from_numpy(each)) for each in (real, drawn)]
        return code.fid_statistics_to_metric(*stats, False)["frechet_inception_distance"]

    runs: dict[str, Run] = {"torch-fidelity": theirs, "ours": lambda: quality.fid(real, drawn)}
    took, found, _ = rounds(args, runs)
    for key in runs:
        told = f"FID {found[key]:.8g}"
        row("fid", key, f"{statistics.median(took[key]):.1f} s", took, "torch-fidelity", told)


def retrieval(args: argparse.Namespace) -> None:
    """Queries/s of the nearest by cosine, DCR's search and ours, of the same features."""
    code = peer(args.peers, "DCR", "embedding_search.similarity_search", "requests", "matplotlib")
    rng = np.random.default_rng(0)
    queries, references = (
        rng.standard_normal((n, 512), dtype=np.float32) for n in (2048, args.references)
    )
    for each in (queries, references):
        each /= np.linalg.norm(each, axis=1, keepdims=True)

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for path, some in (("all/part/embedding.pkl", references), ("drawn.pkl", queries)):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            content = {"features": some, "indexes": [str(i) for i in range(len(some))]}
            Path(path).write_bytes(pickle.dumps(content))
        os.chdir("all")  # where their search looks for each part
        given = SimpleNamespace(
            laion_embeddings_folders=".", generation_embedding_path="../drawn.pkl", num_chunks=1
        )

        def theirs() -> str:
            said = StringIO()
            with redirect_stdout(said), suppress(TypeError):  # its last line opens a dictionary
                code.main(given)
            return re.search(r"Matching took: ([\d.]+)", said.getvalue())[1]  # type: ignore[index]

        runs: dict[str, Run] = {
            "DCR's search": theirs,
            "ours": lambda: nearest(queries, references, 1).index,
        }
        took, _, _ = rounds(args, runs)
    for key in runs:
        rate = f"{len(queries) / statistics.median(took[key]):,.0f} queries/s"
        row("retrieval", key, rate, took, "DCR's search", f"{args.references:,} references")


def drawing(args: argparse.Namespace) -> None:
    """Samples/s of diffusers' DDIMPipeline and of ours, from the same noise, and the difference."""
    from diffusers import DDIMPipeline, DDIMScheduler
    from diffusers.pipelines.ddim import pipeline_ddim

    net, schedule = network(args), Schedule.linear()
    pipeline = DDIMPipeline(net, DDIMScheduler(clip_sample=False))
    pipeline.set_progress_bar_config(disable=True)
    n, steps = args.n, args.steps

    def noise() -> PerImage:
        return PerImage("benchmark", indices=range(n))

    def given(shape: Any, **_: Any) -> torch.Tensor:
        return noise().normal(shape[1:]).to(args.device)

    pipeline_ddim.randn_tensor = given  # the noise that it would draw

    def ours(asked: Any) -> Run:
        target = Denoiser(asked, schedule)

        def run() -> torch.Tensor:
            drawn = sample(target, noise(), (3, 32, 32), steps=steps, device=args.device)
            return (drawn / 2 + 0.5).clamp(0, 1)

        return run

    runs: dict[str, Run] = {
        "DDIMPipeline": lambda: pipeline(n, num_inference_steps=steps, output_type="pt").images,
        **{name: ours(asked) for name, asked in ways(args, net).items()},
    }
    took, found, asked = rounds(args, runs)
    for key in runs:
        rate = n * steps / statistics.median(took[key])
        gap = float((found[key] - found["DDIMPipeline"]).abs().max()) * 255
        told = f"differs by at most {gap:.2g} of 255; asks {asked[key] / n:g} times an image"
        row("ddim", key, f"{rate / 50:.3f} samples/s of 50 steps", took, "DDIMPipeline", told)


TORCHVISION = (
    *("torchvision", "torchvision.transforms", "torchvision.transforms.functional"),
    *("torchvision.datasets", "torchvision.models"),
)
CASES: dict[str, Callable[[argparse.Namespace], None]] = {
    "secmi": lambda args: attacks(args, "secmi"),
    "pia": lambda args: attacks(args, "pia"),
    "fid": fidelity,
    "retrieval": retrieval,
    "ddim": drawing,
}


def network(args: argparse.Namespace) -> Any:
    if args.weights:
        net = networks.load(args.weights)
    else:
        torch.manual_seed(0)
        net = networks.build("denoiser", DDPM, 32, 3).eval().requires_grad_(False)

    def count(_: Any, given: Any) -> None:
        ASKED[0] += len(given[0])

    net.register_forward_pre_hook(count)
    return net.to(args.device)


def ways(args: argparse.Namespace, net: Any) -> dict[str, Asked]:
    """The network as profiles may have it asked. Compiling takes a minute, at the first call."""
    found = {"ours, fp32": Asked(net)}
    for name, how in [("", "no"), (", compiled", "default")][: 1 + args.compile]:
        os.environ |= {"LEAKBOARD_MEMORY_FORMAT": "channels-last", "LEAKBOARD_COMPILE": how}
        found[f"ours, bf16, channels-last{name}"] = Asked(net, "bf16")
    os.environ |= {"LEAKBOARD_MEMORY_FORMAT": "contiguous", "LEAKBOARD_COMPILE": "no"}
    return found


def pixels(args: argparse.Namespace) -> np.ndarray:
    if args.images:
        with np.load(args.images) as archive:
            return archive["images"][: args.n]
    return np.random.default_rng(0).integers(0, 256, (args.n, 32, 32, 3), dtype=np.uint8)


def rounds(args: argparse.Namespace, runs: dict[str, Run]) -> tuple[dict[str, Any], ...]:
    """Seconds of each round, what came out, and about how many images the network was asked.

    name -> list, name -> result, name -> number.
    """
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    took: dict[str, Any] = {name: [] for name in runs}
    found, asked = {}, {}
    for name, run in runs.items():
        if "compiled" in name:
            run()
    for _ in range(args.rounds):
        for name, run in runs.items():
            if name.startswith("ours"):
                allocator.keep.__wrapped__()
            else:
                allocator.limits(*GLIBC)
            begun, before = clock(), ASKED[0]
            found[name] = run()
            took[name].append(clock() - begun)
            asked[name] = ASKED[0] - before
    return took, found, asked


def row(case: str, name: str, rate: str, took: dict[str, Any], first: str, told: str) -> None:
    ratios = [a / b for a, b in zip(took[first], took[name], strict=True)]
    middle = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"| {case} | {name} | {rate} | {middle} | {told} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; else all")
    parser.add_argument("--peers", type=Path, help="folder of the clones")
    parser.add_argument("--images", type=Path, help="npz with `images` (n, 32, 32, 3) uint8")
    parser.add_argument("--weights", type=Path, help="a diffusers folder; else random weights")
    parser.add_argument("--n", type=int, default=16, help="images of a round")
    parser.add_argument("--steps", type=int, default=5, help="of each sample")
    parser.add_argument("--batch", type=int, help="images at once, for the peers")
    parser.add_argument("--features", type=int, default=5000, help="a side, for FID")
    parser.add_argument("--references", type=int, default=50_000, help="for the retrieval")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="ours compiled, too")
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    args = parser.parse_args()
    without = args.cases == ["ddim"]  # diffusers is here anyway
    if not (args.peers or without) or {*args.cases} - {*CASES}:
        commands = "\n".join(f"  git clone {url} {name}" for name, url in CLONES.items())
        sys.exit(
            f"NAMEs: {', '.join(CASES)}. In a folder of your own, which --peers names:\n{commands}"
        )
    args.peers = args.peers and args.peers.resolve()
    args.device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.device == "cpu":
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign, assignment]
    print("| what | code | rate | times the peer's | |\n|---|---|---|---|---|", flush=True)
    for case in args.cases or CASES:
        CASES[case](args)


if __name__ == "__main__":
    main()
