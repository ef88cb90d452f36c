"""Training: resumed equals uninterrupted, and what goes wrong is said."""

import math

import numpy as np
import pytest
import torch

from leakboard import checkpoints, networks, training
from leakboard.data.digits import Dataset
from leakboard.diffusion import Schedule
from leakboard.errors import UserError
from leakboard.images import to_float
from leakboard.lessons import Lesson, rows_of
from leakboard.trainers.standard import Trainer
from leakboard.training import Training, learning_rate

PIXELS, LABELS = (part[:40] for part in Dataset().load())
DATA = Lesson("members", to_float(PIXELS), torch.from_numpy(LABELS), torch.arange(40))
UNET = {
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
}
SETTINGS = {
    "steps": 30,
    "batch_size": 16,
    "lr": 2e-3,
    "lr_decay": "cosine",
    "warmup": 5,
    "weight_decay": 0.01,
    "gradient_clip": 1.0,
    "ema_decay": 0.99,
    "flip": True,
    "stop_after": 1.0,
}


def begin(folder, dropout=0.2, **changes):
    torch.manual_seed(0)
    return Training(
        networks.build("denoiser", {**UNET, "dropout": dropout}, 8, 1),
        Trainer(),
        [DATA],
        Schedule.linear(),
        {**SETTINGS, **changes},
        names=("train", "test", 0),
        where="networks.tiny of track test",
        checkpoint=folder / "checkpoints" / "key.safetensors",
        curve=folder / "training.csv",
    )


def weights(net):
    return torch.cat([p.flatten() for p in net.parameters()])


class Killed(Exception):
    pass


def test_a_killed_and_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path, monkeypatch
):
    whole = begin(tmp_path / "whole")
    expected = weights(whole.run())
    monkeypatch.setattr(checkpoints, "SECONDS", 0)

    def kill_at(last):
        def report(step, steps):
            if step == last:
                raise Killed

        return report

    for last in (13, 27):  # each time some steps after the last checkpoint are lost
        with pytest.raises(Killed):
            begin(tmp_path / "cut").run(kill_at(last))
    resumed = begin(tmp_path / "cut")
    assert torch.equal(weights(resumed.run()), expected)
    assert resumed.earlier_seconds > 0
    curves = [(tmp_path / name / "training.csv").read_bytes() for name in ("whole", "cut")]
    assert curves[0] == curves[1]


def test_a_training_that_ended_and_was_lost_nevertheless_does_not_start_over(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "due", lambda *_: True)  # a checkpoint after every step
    expected = weights(begin(tmp_path).run())
    seen = []
    again = begin(tmp_path).run(lambda step, steps: seen.append(step))
    assert seen == [30]
    assert torch.equal(weights(again), expected)


def test_dropout_flips_and_the_moving_average_matter_to_the_result(tmp_path):
    # Else the test above would not notice their loss.
    reference = weights(begin(tmp_path / "b").run())
    assert not torch.equal(weights(begin(tmp_path / "a", dropout=0.0).run()), reference)
    assert not torch.equal(weights(begin(tmp_path / "c", flip=False).run()), reference)
    assert not torch.equal(weights(begin(tmp_path / "d", ema_decay=0.5).run()), reference)


def test_the_loss_falls_and_its_curve_is_on_disk(tmp_path):
    begin(tmp_path, steps=60, lr=5e-3).run()
    table = np.genfromtxt(tmp_path / "training.csv", delimiter=",", names=True)
    assert table["step"].tolist() == [10, 20, 30, 40, 50, 60]
    assert table["loss"][-1] < 0.8 * table["loss"][0]


def test_a_loss_that_is_not_finite_stops_with_the_entry_and_the_cure(tmp_path):
    with pytest.raises(UserError, match=r"networks\.tiny of track test: the loss is .*lower.*lr"):
        begin(tmp_path, lr=1e30, gradient_clip=1e30, warmup=0, lr_decay="constant").run()


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_checkpoint_that_was_cut_short_is_refused_by_name(tmp_path, monkeypatch, share):
    monkeypatch.setattr(checkpoints, "SECONDS", 0)
    begin(tmp_path).run()
    file = tmp_path / "checkpoints" / "key.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"key\.safetensors.*cut short or damaged: remove it"):
        begin(tmp_path).run()


def prepared(folder, pools=None, **changes):
    spec = {
        "track": "test",
        "network": "tiny",
        "seed": 0,
        "kind": "denoiser",
        "teachers": {},
        "architecture": {**UNET, "dropout": 0.0},
        "training": SETTINGS,
        "trainer": {"method": "standard", "params": {}},
        "noise": {"steps": 1000},
        **changes,
    }
    how = {"init": None, "teachers": {}, "inputs": [], "checkpoints": folder}
    pools = pools or {"members": np.arange(40)}
    return training.prepare(spec, Trainer(), PIXELS, LABELS, pools, **how)


def test_a_checkpoint_is_kept_apart_by_everything_that_made_it(tmp_path):
    same, again, other = (prepared(tmp_path, seed=seed).checkpoint for seed in (0, 0, 1))
    assert same == again != other


def test_a_repeated_image_is_trained_on_as_often_and_its_copies_are_numbered(tmp_path):
    rows = np.array([0, 1, 1, 1, 2, 3, 3])
    (lesson,) = prepared(tmp_path, pools={"members": rows}).lessons
    assert lesson.copy.tolist() == [0, 0, 1, 2, 0, 0, 1]
    seen = []
    for step in range(7):
        batch = lesson.batch(rows_of(step, 7, 4, ("x",)), None, Schedule.linear(), "cpu")
        assert torch.equal(batch.images, to_float(PIXELS[batch.index.numpy()]))
        seen += zip(batch.index.tolist(), batch.copy.tolist(), strict=True)
    numbered = [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 1)]
    assert sorted(seen) == sorted(4 * numbered)  # four epochs


def test_no_image_repeated_means_no_copy():
    assert DATA.copy.tolist() == [0] * 40


def test_every_epoch_shows_every_image_once():
    stream = torch.cat([rows_of(step, 40, 16, ("x",)) for step in range(10)])
    for epoch in stream.split(40):
        assert sorted(epoch.tolist()) == list(range(40))
    assert not torch.equal(stream[:40], stream[40:80])
    assert torch.equal(rows_of(3, 40, 16, ("x",)), stream[48:64])


def test_a_batch_may_be_larger_than_the_pool():
    rows = rows_of(0, 5, 16, ("x",))
    assert torch.bincount(rows).max() - torch.bincount(rows).min() <= 1


def test_the_learning_rate_warms_up_and_decays():
    rates = [learning_rate(step, SETTINGS) for step in range(30)]
    assert rates[0] == pytest.approx(2e-3 / 5)
    assert max(rates) == pytest.approx(2e-3)
    assert rates[-1] < 0.05 * 2e-3
    middle = learning_rate(5 + 12, {**SETTINGS, "steps": 29})
    assert middle == pytest.approx(1e-3, rel=1e-6)
    assert learning_rate(29, {**SETTINGS, "lr_decay": "constant"}) == 2e-3


def test_the_moving_average_forgets_the_first_weights_of_a_short_run(tmp_path):
    # With a warm-up, 30 steps at decay 0.9999 leave little of the first weights; without, 99.7 %.
    made = begin(tmp_path, ema_decay=0.9999)
    first = weights(made.net).detach().clone()
    last = {}
    made.trainer = _Remember(made.trainer, last)
    averaged = weights(made.run()).detach()
    moved = (averaged - first).norm() / (last["weights"] - first).norm()
    assert moved > 0.5
    assert math.isfinite(moved)


class _Remember:
    def __init__(self, inner, last):
        self.inner, self.last = inner, last

    def loss(self, net, batch, rng):
        self.last["weights"] = weights(net).detach().clone()
        return self.inner.loss(net, batch, rng)
