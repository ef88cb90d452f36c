"""Settings of a profile: faster networks, whose scores are those of fp32 within a bound."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from leakboard import networks, settings
from leakboard.attacks import loss, pia, secmi, sima
from leakboard.data.digits import Dataset
from leakboard.diffusion import Denoiser, Schedule, sample
from leakboard.errors import UserError
from leakboard.images import to_float
from leakboard.lessons import Lesson
from leakboard.precision import Asked, exactly
from leakboard.randomness import PerImage
from leakboard.trainers.standard import Trainer
from leakboard.training import Training

WORKFLOW = Path(__file__).parents[2] / "workflow"
UNET = {
    "block_out_channels": [16, 32],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "norm_num_groups": 8,
    "attention_head_dim": 8,
}
SETTINGS = {
    "steps": 600,
    "batch_size": 24,
    "lr": 5e-3,
    "lr_decay": "cosine",
    "warmup": 20,
    "weight_decay": 0.0,
    "gradient_clip": 1.0,
    "ema_decay": 0.99,
    "flip": False,
    "stop_after": 1.0,
}
ATTACKS = {
    "loss": loss.Attack(t=100, draws=4),
    "secmi": secmi.Attack(),
    "secmi-paper": secmi.Attack(variant="paper"),
    "secmi-one-step": secmi.Attack(variant="one-step"),
    "pia": pia.Attack(),
    "pian": pia.Attack(normalize="pian"),
    "sima": sima.Attack(),
}
MEMBERS, AUDITED = 24, 424
PIXELS, LABELS = (part[:AUDITED] for part in Dataset().load())
IMAGES = to_float(PIXELS)


def trained(folder: Path, precision: str = "fp32", **changes: int):
    """A small network that has learned the first digits."""
    torch.manual_seed(0)
    data = Lesson(
        "members", IMAGES[:MEMBERS], torch.from_numpy(LABELS[:MEMBERS]), torch.arange(MEMBERS)
    )
    return Training(
        networks.build("denoiser", UNET, 8, 1),
        Trainer(),
        [data],
        Schedule.linear(),
        {**SETTINGS, **changes},
        names=("train", "precision", 0),
        where="networks.small of track test",
        checkpoint=folder / "key.safetensors",
        curve=folder / "training.csv",
        precision=precision,
    ).run()


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory):
    return trained(tmp_path_factory.mktemp("net")).requires_grad_(False)


@pytest.fixture(scope="module")
def scores(net):
    """attack -> scores in fp32."""
    return {name: scored(name, net) for name in ATTACKS}


def scored(name: str, net) -> np.ndarray:
    target = Denoiser(net, Schedule.linear())
    rng = PerImage("attack", name, indices=range(AUDITED))
    return ATTACKS[name].score(target, IMAGES, rng).numpy()


def auc(found: np.ndarray) -> float:
    return float(roc_auc_score(np.arange(AUDITED) < MEMBERS, found))


@pytest.mark.parametrize("layout", ["contiguous", "channels-last"])
@pytest.mark.parametrize("name", ATTACKS)
def test_scores_in_bf16_agree_with_those_in_fp32(name, layout, net, scores, monkeypatch):
    monkeypatch.setenv("LEAKBOARD_MEMORY_FORMAT", layout)
    fast, plain = scored(name, Asked(net, "bf16")), scores[name]
    if auc(plain) > 0.8:  # near 0.5 a few members among strangers move it by more, either way
        assert abs(auc(fast) - auc(plain)) <= 0.002
    assert spearmanr(fast, plain).statistic > 0.999
    assert not np.array_equal(fast, plain)


def test_the_scores_that_are_compared_are_those_of_a_network_that_leaks(scores):
    for name in ("loss", "pia", "sima"):
        assert auc(scores[name]) > 0.9
    assert auc(scores["secmi"]) > 0.7


@pytest.mark.parametrize("name", ["secmi", "secmi-one-step"])
def test_without_exact_answers_where_they_are_compared_bf16_would_not_do(name, net, scores):
    low = Asked(net, "bf16")
    low.exact = lambda x, t: low.low(x.bfloat16(), t)
    assert spearmanr(scored(name, low), scores[name]).statistic < 0.999


def test_by_default_a_network_is_asked_as_it_is_bit_for_bit(net, scores):
    for name in ("secmi", "loss"):
        assert np.array_equal(scored(name, Asked(net)), scores[name])
    plain, asked = (
        sample(Denoiser(n, Schedule.linear()), PerImage("a", indices=range(4)), (1, 8, 8), steps=5)
        for n in (net, Asked(net))
    )
    assert torch.equal(plain, asked)


def test_inside_exactly_a_network_answers_in_fp32(net):
    low, t = Asked(net, "bf16"), torch.tensor(100)
    with torch.no_grad():
        plain = net(IMAGES[:5], t).sample
        assert not torch.equal(low(IMAGES[:5], t).sample, plain)
        with exactly():
            assert torch.equal(low(IMAGES[:5], t).sample, plain)
        answer = low(IMAGES[:5], t).sample
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, plain, rtol=0, atol=0.1)


def test_fp16_on_a_processor_is_refused(net):
    with pytest.raises(UserError, match="fp16 needs a GPU; set it to bf16"):
        Asked(net, "fp16")


def test_a_training_in_bf16_learns_as_fast_and_keeps_its_weights_in_fp32(tmp_path):
    plain, mixed = (trained(tmp_path / p, p, steps=60) for p in ("fp32", "bf16"))
    rows = [(tmp_path / p / "training.csv").read_text().splitlines() for p in ("fp32", "bf16")]
    last = [float(some[-1].split(",")[2]) for some in rows]
    assert last[0] == pytest.approx(last[1], rel=0.1)
    assert rows[0] != rows[1]
    assert all(p.dtype == torch.float32 for p in mixed.parameters())
    assert not torch.equal(plain.conv_in.weight, mixed.conv_in.weight)


SHORT = """
import resource, sys
import torch
from leakboard import networks
from leakboard.precision import Asked
torch.manual_seed(0)
architecture = {"block_out_channels": [32], "layers_per_block": 1, "norm_num_groups": 8,
    "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]}
net = networks.build("denoiser", architecture, 32, 3).eval().requires_grad_(False)
x, t = torch.randn(256, 3, 32, 32), torch.arange(256)
asked = Asked(net)
with torch.no_grad():
    plain = torch.cat([net(*part).sample for part in zip(x.split(16), t.split(16))])
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20, resource.RLIM_INFINITY))
    found = asked(x, t).sample
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert 1 <= asked.room.most < 256, asked.room.most
torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
"""


def test_where_memory_ends_a_batch_is_asked_about_in_parts():
    done = subprocess.run(
        [sys.executable, "-c", SHORT],
        env={**os.environ, "PYTHONPATH": str(WORKFLOW)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "images at once from here on" in done.stdout


def test_a_profile_sets_precision_by_stage_and_jobs_inherit_the_rest(monkeypatch):
    for key in settings.LAYOUTS:  # what is set here ends with the test
        monkeypatch.setenv(f"LEAKBOARD_{key.upper()}", "")
    assert settings.take({"tracks": ["digits"]}) == {}
    assert [settings.layout(key) for key in settings.LAYOUTS] == ["contiguous", "no"]
    config = {"tracks": [], "precision": "bf16", "training_precision": "fp32"}
    assert settings.take({**config, "memory_format": "channels-last"}) == {"attack": "bf16"}
    assert settings.used({}) == {
        "precision": "fp32",
        "memory_format": "channels-last",
        "compile": "no",
    }
    with pytest.raises(UserError, match="precision: expected one of fp32, tf32, bf16, fp16"):
        settings.take({"precision": "bf61"})
    with pytest.raises(UserError, match="training_precision: expected one of fp32, tf32, bf16,"):
        settings.take({"training_precision": "fp16"})
