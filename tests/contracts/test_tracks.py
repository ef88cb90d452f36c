"""The tracks of the papers: they plan whole, name what they need, and say what they cost."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from leakboard import assets, catalog, needs, resolve
from leakboard.config import Resolved
from leakboard.errors import UserError
from leakboard.files import sha256
from leakboard.plan import Plan
from leakboard.reported import read as read_reported

ROOT = Path(__file__).parents[2]
# track -> its trainings, its sets of pictures, what it takes from whom: a paper and its tables
PAPERS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "cifar10-1k": (4, 9, ("cpsample", "Table 1", "Table 4")),
    "celeba-1k": (4, 7, ("cpsample", "Table 1", "Table 4")),
    "church-1k": (4, 7, ("cpsample", "Table 1")),
    "cifar10-mia": (7, 10, ("dualmd", "Table 2", "Table 3", "Table 10")),
    "cifar10-mia-lite": (7, 10, ("dualmd",)),
    "cifar100-mia": (7, 10, ("dualmd", "Table 3")),
    "stl10-mia": (7, 10, ("dualmd", "Table 3")),
    "tiny-imagenet-mia": (7, 10, ("dualmd", "Table 3")),
    "cifar10-amg": (3, 9, ("amg", "Table 2", "Table 5")),
    "cifar10-amg-classes": (2, 8, ("amg", "Table 3")),
    "celeba-25k": (2, 19, ("side", "Table 1")),
    "celeba-hq-fi": (2, 14, ("side", "Table 1")),
}
DATASETS = {  # what a table calls a track's images
    "cifar10-1k": "CIFAR-10",
    "celeba-1k": "CelebA",
    "church-1k": "LSUN Church",
    "cifar10-mia": "CIFAR-10",
    "cifar100-mia": "CIFAR-100",
    "stl10-mia": "STL10-Unlabeled",
    "tiny-imagenet-mia": "Tiny-ImageNet",
    "cifar10-amg": "CIFAR-10",
    "cifar10-amg-classes": "CIFAR-10",
    "celeba-25k": "CelebA-25000",
    "celeba-hq-fi": "CelebA-HQ-FI",
}
# As their publisher has them, in each config.json.
HUB: dict[str, dict[str, Any]] = {
    "google/ddpm-cifar10-32": {
        "block_out_channels": [128, 256, 256, 256],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    },
    "google/ddpm-church-256": {
        "block_out_channels": [128, 128, 256, 256, 512, 512],
        "down_block_types": [*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4],
    },
}
ALL_OF_THEM: dict[str, Any] = {
    "_class_name": "UNet2DModel",
    "act_fn": "silu",
    "attention_head_dim": None,
    "center_input_sample": False,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
    "out_channels": 3,
    "time_embedding_type": "positional",
}

every = pytest.mark.parametrize("track", PAPERS)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty place to run in, with empty caches."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(assets.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@cache
def shared() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


def board(track: str) -> Resolved:
    return resolve.read({**shared(), "tracks": [track]}, "config/config.yaml", [ROOT])[track]


def opening(track: str) -> str:
    """The comment at the top of a track's file, as one line of text."""
    text = (ROOT / f"config/tracks/{track}.yaml").read_text(encoding="utf-8")
    lines = text.partition("\n\n")[0].split("\n")
    assert all(line.startswith("#") for line in lines)
    return " ".join(line[1:].strip() for line in lines)


def stand_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something of an asset's name in this folder, which its publisher's hash is now that of."""
    if name in HUB:
        Path(name).mkdir(parents=True)
        about = {**ALL_OF_THEM, **HUB[name]}
        Path(name, "config.json").write_text(json.dumps(about), encoding="utf-8")
        Path(name, "diffusion_pytorch_model.safetensors").touch()
        return
    Path(name).write_text(name, encoding="utf-8")
    known = catalog.known()
    mine = known[name].model_copy(update={"files": {"": catalog.File(sha256=sha256(Path(name)))}})
    monkeypatch.setattr(catalog, "known", lambda: {**known, name: mine})


def wanted(made: Resolved) -> list[str]:
    """The assets that a track reads."""
    return [name for name in assets.asked([made]) if name in catalog.known()]


@cache
def costs() -> Any:
    """benchmarks/tracks.py, which counts what the tracks take."""
    spec = importlib.util.spec_from_file_location("costs", ROOT / "benchmarks/tracks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@every
def test_a_papers_track_plans_whole_where_its_assets_are(
    track: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in wanted(board(track)):
        stand_in(name, monkeypatch)
    made = board(track)  # anew: what it starts from is here now, and must fit
    assets.require([made])
    plan = Plan(made)
    sets = {(d, s) for d in made.defenses for s in ("plain",)}
    sets |= {
        (source, sampler)
        for family, sees in plan.extractions
        for source in plan.drawn_from(family, sees)
        for sampler in plan.samplers(family)
    }
    trainings, pictures, _ = PAPERS[track]
    assert len(plan.every_training) == trainings
    assert len(sets) == pictures
    assert 5 <= sum(map(len, plan.cells().values())) <= 40
    assert plan.digests()
    assert plan.rank()["members"] == made.track.subset.members
    assert plan.page()
    assert plan.cite()
    for name in plan.every_training:
        assert needs.init(plan, name) or plan.init_folder(name) or not plan.network(name).init


@every
def test_a_papers_track_without_its_assets_names_each_with_the_command(track: str) -> None:
    made = board(track)
    with pytest.raises(UserError) as refused:
        assets.require([made])
    missing = wanted(made)
    assert missing
    for name in missing:
        assert f"run `leakboard assets fetch {name}`" in str(refused.value)
    text = (ROOT / f"config/tracks/{track}.yaml").read_text(encoding="utf-8")
    (command,) = re.findall(r"^#   leakboard assets fetch (.+)$", text, flags=re.MULTILINE)
    assert set(missing) <= set(command.split())
    assert all(name in catalog.known() for name in command.split())


@every
def test_an_opening_says_what_it_costs_and_what_to_expect(track: str) -> None:
    text = opening(track)
    assert re.search(r"Not run here[.;]", text)
    assert "EFLOP" in text
    assert re.search(r"[Tt]o expect\b", text)
    (hours,) = re.findall(r"(\d+) hours of a GPU that sustains 20 TFLOP/s", text)
    assert float(hours) == pytest.approx(costs().hours(board(track)), rel=0.04, abs=1)
    for table in PAPERS[track][2][1:]:
        number = table.removeprefix("Table ")
        assert re.search(rf"tables? (?:\d+(?:,| and) )*{number}\b", text), table


def reported(track: str) -> list[Any]:
    """The numbers of its tables that are of a track's images."""
    paper, *tables = PAPERS[track][2]
    model = "class-conditional" if track.endswith("classes") else "unconditional"
    return [
        number
        for number in read_reported(ROOT / "config/reported.yaml").numbers()
        if (number.table.paper, number.table.source) in {(paper, table) for table in tables}
        and re.match(rf"{re.escape(DATASETS[track])}(,|$)", number.dataset)
        and number.model == model
    ]


@pytest.mark.parametrize("track", DATASETS)
def test_what_an_opening_expects_of_its_defenses_is_what_the_paper_reports(track: str) -> None:
    made, text = board(track), opening(track).partition("o expect")[2]
    families = {entry.family for entry in made.attacks.values()}
    told = [n for n in reported(track) if n.unit != "setting" and n.unit not in ("p", "score")]
    told = [n for n in told if n.defense in made.defenses]
    told = [n for n in told if not n.attack or n.attack in {*made.attacks, *families}]
    assert told
    for number in told:
        if number.metric.startswith("nl2_top5%") or number.table.source == "Table 5":
            continue  # not told in the opening, or rounded there
        value = number.value * (100 if number.unit == "share" and "tpr" not in number.metric else 1)
        same = (n for n in range(4) if round(value, n) == round(value, 3))
        digits = {f"{value:.{n}f}" for n in same}
        digits |= {f"{value:.1f}"} if number.metric.startswith("fid") else set()
        found = (re.search(rf"(?<![\d.]){re.escape(d)}(?!\d|\.\d)", text) for d in digits)
        assert any(found), number


@pytest.mark.parametrize(
    ("track", "parameters"),
    [
        ("cifar10-mia", 35_746_307),
        ("celeba-1k", 78_700_803),
        ("church-1k", 113_673_219),
        ("cifar10-amg", 52_542_467),
        ("celeba-25k", 113_673_219),
    ],
)
def test_a_network_of_the_papers_size_is_built_and_its_cost_is_pytorchs_count(
    track: str, parameters: int
) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from leakboard import networks

    made = board(track).track
    size = made.dataset.size or 32
    with torch.device("meta"):
        x, t = torch.empty(1, 3, size, size), torch.zeros(1, dtype=torch.long)
        net = networks.build("denoiser", made.architecture.denoiser, size, 3).eval()
        judge = networks.build("classifier", made.architecture.classifier, size, 3, outputs=1)
        networks.build("encoder", made.architecture.encoder, size, 3, outputs=10)
    assert sum(p.numel() for p in net.parameters()) == parameters
    for network, architecture in ((net, "denoiser"), (judge.eval(), "classifier")):
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            out = network(x, t)
        shape = out.sample.shape if architecture == "denoiser" else out.shape
        assert tuple(shape) == ((1, 3, size, size) if architecture == "denoiser" else (1, 1))
        how = getattr(made.architecture, architecture)
        count = costs().operations(how, size, whole=architecture == "denoiser")
        assert count == pytest.approx(counted.get_total_flops(), rel=0.01)


@every
def test_a_batch_of_pictures_fits_a_gpu(track: str) -> None:
    made = board(track).track
    widest = made.architecture.denoiser["block_out_channels"][0] * (made.dataset.size or 32) ** 2
    layer = made.sampling.batch_size * widest * 4  # bytes of one layer's answer, in fp32
    assert layer <= 2**30
    assert made.sampling.images >= made.sampling.batch_size


@every
def test_who_never_saw_a_member_and_the_held_out_images_are_left(track: str) -> None:
    made = board(track)
    plan, subset = Plan(made), made.track.subset
    assert plan.role("never-saw-members") == "never-saw-members"
    sizes = {"cifar10": 60_000, "cifar100": 60_000, "stl10": 113_000, "tiny-imagenet": 110_000}
    params = made.track.dataset.params
    there = made.track.dataset.limit or sizes.get(made.track.dataset.method, 5_478)
    if params.get("part") == "test":
        there = 10_000
    assert there - subset.members - subset.held_out >= 400  # the reference


@pytest.mark.parametrize("track", ["cifar10-1k", "church-1k"])
def test_a_published_network_is_changed_by_less_than_its_rounding(track: str) -> None:
    entry = board(track).networks["pretrained"]
    assert entry.init in HUB
    assert entry.training["steps"] == 1
    # the rate of a warm-up's first step: AdamW moves no weight by more
    assert entry.training["lr"] / entry.training["warmup"] <= 4e-8
