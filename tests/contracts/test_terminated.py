"""SIGTERM: a training saves what it has, at whatever moment, and goes on as if nothing had been."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from test_training import DATA, SETTINGS, begin, weights
from torch import nn

from leakboard import checkpoints
from leakboard.checkpoints import LOST, due
from leakboard.diffusion import Schedule
from leakboard.job import identity
from leakboard.signals import Terminated, asked, listening, whole
from leakboard.training import Training

WORKFLOW = Path(__file__).parents[2] / "workflow"
STEP = 17  # neither the first of a curve's row nor the last


def sigterm(*_):
    os.kill(os.getpid(), signal.SIGTERM)


class At:
    """A trainer that does something in the middle of step STEP: before or after its forward."""

    def __init__(self, inner, before=lambda: None, after=lambda: None):
        self.inner, self.before, self.after, self.step = inner, before, after, 0

    def loss(self, net, batch, rng):
        self.step += 1
        if self.step == STEP:
            self.before()
        loss = self.inner.loss(net, batch, rng)
        if self.step == STEP:
            self.after()
        return loss


def at_step(function):
    """`function`, and a SIGTERM right after its call number STEP."""
    calls = []

    def called(*args, **kwargs):
        result = function(*args, **kwargs)
        calls.append(1)
        if len(calls) == STEP:
            sigterm()
        return result

    return called


def in_loss(training, monkeypatch):
    training.trainer = At(training.trainer, after=sigterm)
    return STEP - 1


def in_backward(training, monkeypatch):
    training.parameters[-1].register_hook(at_step(lambda grad: None))
    return STEP - 1


def in_clipping(training, monkeypatch):
    clip = at_step(nn.utils.clip_grad_norm_)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    return STEP - 1


def in_optimizer(training, monkeypatch):
    training.optimizer.register_step_post_hook(at_step(lambda *_: None))
    return STEP


def in_average(training, monkeypatch):
    monkeypatch.setattr(training.ema, "step", at_step(training.ema.step))
    return STEP


def in_checkpoint(training, monkeypatch):
    monkeypatch.setattr("leakboard.training.due", lambda *_: True)
    monkeypatch.setattr(checkpoints, "write", at_step(checkpoints.write))
    return STEP


def twice(training, monkeypatch):
    save = checkpoints.write

    def twice(*args):
        sigterm()
        save(*args)
        sigterm()

    monkeypatch.setattr(checkpoints, "write", twice)
    return in_loss(training, monkeypatch)


MOMENTS = [in_loss, in_backward, in_clipping, in_optimizer, in_average, in_checkpoint, twice]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return weights(begin(folder).run()), (folder / "training.csv").read_bytes()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_training_stopped_at_any_moment_goes_on_to_the_very_same_weights(
    moment, uninterrupted, tmp_path
):
    stopped = begin(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        last = moment(stopped, patch)
        with listening(), pytest.raises(Terminated, match=rf"at step {last} of 30; .* is kept"):
            stopped.run()
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["key.safetensors"]
    resumed = begin(tmp_path)
    seen = []
    found = weights(resumed.run(lambda step, steps: seen.append(step)))
    assert seen == list(range(last + 1, 31))
    assert torch.equal(found, uninterrupted[0])
    assert (tmp_path / "training.csv").read_bytes() == uninterrupted[1]


class Reconstruction:
    """A trainer for a network with running statistics."""

    def loss(self, net, batch, rng):
        return (net(batch.images) - batch.images).square().mean()


def with_statistics(folder, trainer):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    files = {"checkpoint": folder / "c/key.safetensors", "curve": folder / "curve.csv"}
    names = {"names": ("train", "x", 0), "where": "networks.x"}
    return Training(net, trainer, [DATA], Schedule.linear(), SETTINGS, **names, **files)


def test_running_statistics_of_an_interrupted_step_are_not_kept(tmp_path):
    expected = with_statistics(tmp_path / "whole", Reconstruction()).run().state_dict()
    with listening(), pytest.raises(Terminated):
        with_statistics(tmp_path, At(Reconstruction(), after=sigterm)).run()
    found = with_statistics(tmp_path, Reconstruction()).run().state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_backward_pass_is_not_waited_for(tmp_path):
    """The signal is heard between two layers, not after all of them."""
    layers = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(30)))
    stopped = with_statistics(tmp_path, At(Reconstruction(), after=lambda: watcher.start()))
    stopped.net = layers
    stopped.parameters[:] = list(layers.parameters())
    last = layers[-1].weight

    def watch():  # another thread, as the signal comes from outside
        while last.grad is None:
            time.sleep(0.001)
        sigterm()

    watcher = threading.Thread(target=watch)
    stopped.trainer.step = STEP - 1
    with listening(), pytest.raises(Terminated):
        stopped.run()
    watcher.join()
    assert last.grad is not None
    assert layers[0].weight.grad is None


DRIVER = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_training import begin
from leakboard.job import job
folder = Path(sys.argv[1])
with job(folder / "a.log", folder / "a.json") as this:
    def slowly(step, steps):
        (folder / "step").write_text(str(step))
        time.sleep(0.05)
    net = begin(folder).run(slowly)
    import torch
    torch.nn.utils.parameters_to_vector(net.parameters()).detach().numpy().tofile(folder / "out")
"""


def start(folder, code=DRIVER):
    env = {name: text for name, text in os.environ.items() if "LEAKBOARD" not in name}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(WORKFLOW), str(Path(__file__).parent)],
        env=env | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(WORKFLOW)},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait(file, process, seconds=60):
    end = time.monotonic() + seconds
    while not (file.exists() and file.read_text()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_that_is_told_to_end_saves_within_ten_seconds_and_says_so(
    uninterrupted, tmp_path
):
    process = start(tmp_path)
    wait(tmp_path / "step", process)
    time.sleep(0.2)
    begun = time.monotonic()
    process.terminate()
    time.sleep(0.01)
    process.terminate()
    said = process.communicate(timeout=30)[1]
    assert time.monotonic() - begun < 10
    assert process.returncode == 143
    assert "leakboard: stopped by SIGTERM at step" in said
    assert "run the same command again" in said
    assert said.count("\n") == 1
    assert said in (tmp_path / "a.log").read_text()
    assert (tmp_path / "checkpoints/key.safetensors").exists()
    again = start(tmp_path)
    assert again.wait(60) == 0, again.stderr.read()
    expected = uninterrupted[0].detach().numpy().tobytes()
    assert (tmp_path / "out").read_bytes() == expected
    assert json.loads((tmp_path / "a.json").read_text())["seconds"] > 0


STUBBORN = """
import sys, time
from pathlib import Path
from leakboard.job import job
folder = Path(sys.argv[1])
with job(folder / "a.log", folder / "a.json") as this:
    this.afterwards.append(lambda: (folder / "forgotten").touch())
    try:
        (folder / "step").write_text("1")
        time.sleep(60)
    except BaseException:
        time.sleep({saving})
        (folder / "saved").touch()
        {then}
"""


def test_the_exception_travels_through_every_step(tmp_path):
    process = start(tmp_path, STUBBORN.format(saving=0, then="raise"))
    wait(tmp_path / "step", process)
    process.terminate()
    assert process.wait(10) == 143
    assert (tmp_path / "saved").exists()
    assert not (tmp_path / "a.json").exists()
    assert not (tmp_path / "forgotten").exists()


def test_a_step_that_had_finished_all_the_same_is_done(tmp_path):
    process = start(tmp_path, STUBBORN.format(saving=0, then=""))
    wait(tmp_path / "step", process)
    process.terminate()
    assert process.wait(10) == 0
    assert (tmp_path / "a.json").exists()
    assert (tmp_path / "forgotten").exists()


def test_a_step_may_finish_its_saving_when_its_workflow_ends_first(tmp_path, monkeypatch):
    """SLURM tells the workflow inside a job and the step together; either may be the faster."""
    for told, saved in ((True, True), (False, False)):
        folder = tmp_path / str(told)
        folder.mkdir()
        workflow = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        code = f"import os; os.environ['LEAKBOARD_WORKFLOW_PID'] = '{identity(workflow.pid)}'\n"
        process = start(folder, code + STUBBORN.format(saving=3, then="raise"))
        wait(folder / "step", process)
        if told:
            process.terminate()
        workflow.kill()
        workflow.wait()
        assert process.wait(10) == (143 if told else 1)
        assert (folder / "saved").exists() == saved


def test_a_signal_is_heard_once_and_only_inside():
    before = signal.getsignal(signal.SIGTERM)
    with listening():
        with pytest.raises(Terminated):
            sigterm()
        sigterm()
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is before
    with listening():
        assert not asked()


def test_a_block_is_not_torn_and_an_error_in_it_is_not_hidden():
    done = []

    def block(*then):
        with whole(), whole():
            sigterm()
            done.append(1 / then[0])

    with listening(), pytest.raises(Terminated):
        block(1)
    assert done
    with listening(), pytest.raises(ZeroDivisionError):
        block(0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_got_lost_is_heard_at_the_next_block():
    class Last:
        def __del__(self):
            sigterm()  # what is raised in here goes nowhere

    with listening():
        Last()
        block = whole()
        block.__enter__()
        with pytest.raises(Terminated):
            block.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("step", "write"), [(0.01, 0.01), (0.1, 2.0), (1.0, 5.0), (3.0, 6.0), (12.0, 1.0)]
)
def test_a_killed_training_loses_thirty_seconds_at_most_and_checkpoints_cost_little(step, write):
    now = state = written = 0.0
    writing = worst = 0.0
    last = 0.0
    while now < 1000:
        now += step
        worst = max(worst, now - state)
        if due(now - state, now - written, step, last):
            worst = max(worst, now + write - state)
            state, last = now, write
            now = written = now + write
            writing += write
    assert worst <= LOST + 1e-6
    assert writing / now < (0.15 if write <= 2 else 0.5)


def test_a_checkpoint_that_takes_very_long_takes_half_of_the_time_at_most():
    now = state = written = writing = 0.0
    for _ in range(1000):
        now += 1
        if due(now - state, now - written, 1.0, 40.0):
            state, writing = now, writing + 40
            now = written = now + 40
    assert writing / now < 0.55
