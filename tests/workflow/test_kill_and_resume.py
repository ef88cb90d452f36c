"""Killed and started again equals never killed, byte for byte."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from waiting import until

if TYPE_CHECKING:
    from conftest import Folder

WORKFLOW = Path(__file__).parents[2] / "workflow"
SHARED, TRACK = "config/config.yaml", "config/tracks/tiny.yaml"
DRIVER = """
import sys, time
from pathlib import Path
import numpy as np
from leakboard import checkpoints, config, networks, plugins, training

folder, killed = Path(sys.argv[1]), sys.argv[2] == "killed"
if killed:
    checkpoints.SECONDS = -1  # as often as it can
spec = {
    "track": "digits", "network": "base", "seed": 0, "kind": "denoiser", "teachers": {},
    "architecture": {
        "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": 8, "dropout": 0.1,
    },
    "noise": config.Noise().model_dump(),
    "training": config.Training(
        steps=60, batch_size=16, lr=0.002, lr_decay="cosine", warmup=20, weight_decay=0.01,
        ema_decay=0.9, flip=True,
    ).model_dump(),
}
images, labels = plugins.load("datasets", "digits", {}).load()
this = training.prepare(
    spec, plugins.load("trainers", "standard", {}), images, labels, {"members": np.arange(40)},
    init=None, teachers={}, inputs=[], checkpoints=folder / "checkpoints",
)
def report(step, steps):
    if killed:
        time.sleep(0.03)
    with open(folder / "steps", "a") as file:
        file.write(f"{step}\\n")
net = this.run(report)
(folder / "training.csv").write_text(this.curve_text())
networks.save(net, folder, this.schedule, spec["noise"], "{}")
"""


def environment(workflow: Path) -> dict[str, str]:
    """What a process started by hand would have."""
    env = {name: text for name, text in os.environ.items() if "LEAKBOARD" not in name}
    return env | {"PYTHONPATH": str(workflow), "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def started(command: list[str], folder: Path, workflow: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, whose every process is killed in the end."""
    with open(folder / "out.txt", "wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(workflow),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def at_work(folder: Path) -> list[str]:
    """The commands of all live processes whose working directory is `folder`."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline", "status"]):
        if process.info["cwd"] == str(folder) and process.info["status"] != "zombie":
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def test_a_killed_training_goes_on_to_the_very_same_weights(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    command = [sys.executable, "-c", DRIVER]
    with started([*command, str(whole), "whole"], whole, WORKFLOW) as uninterrupted:
        with started([*command, str(killed), "killed"], killed, WORKFLOW) as process:

            def halfway() -> bool:
                steps, saved = killed / "steps", killed / "checkpoints"
                told = len(steps.read_text().split()) if steps.exists() else 0
                return told >= 25 and any(saved.glob("[!.]*.safetensors"))

            assert until(halfway, 60, 0.005), (killed / "out.txt").read_text()
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        assert not list(killed.glob("*.safetensors"))
        before = len((killed / "steps").read_text().split())
        assert 25 <= before < 60
        with started([*command, str(killed), "killed"], killed, WORKFLOW) as process:
            assert process.wait(60) == 0, (killed / "out.txt").read_text()
        assert uninterrupted.wait(60) == 0, (whole / "out.txt").read_text()
    assert not list((whole / "checkpoints").glob("*.safetensors"))
    steps = [int(step) for step in (killed / "steps").read_text().split()]
    assert steps[before] > 10  # it went on from a checkpoint
    assert steps[-1] == 60
    for name in ("diffusion_pytorch_model.safetensors", "training.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


LEFT_OUT = (
    *("cpsample", "amg", "rejection", "dualmd", "noise", "early-stop"),
    *("one-step", "confidence", "random", "side", "again"),
)


def fewer(content: dict[str, Any]) -> None:
    """Leave out what this costs time for and does not need: rows do not depend on one another."""
    for name in LEFT_OUT:
        content["attacks" if name in content["attacks"] else "defenses"].pop(name)


def test_a_run_killed_three_times_and_shared_otherwise_measures_the_same(
    finished: Folder, fresh: Folder
) -> None:
    fresh.set(TRACK, "shards", 2)
    fresh.change(SHARED, fewer)
    code = "from leakboard.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "--cores", "3"]
    workflow, results = fresh.path / "workflow", fresh.board

    def said() -> str:
        return (fresh.path / "out.txt").read_text()

    # While networks are trained: everybody at once, as when a machine loses power.
    with started(command, fresh.path, workflow) as run:
        assert until(lambda: list(results.glob("networks/*/seed0/*.safetensors")), 240), said()
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        assert until(lambda: not at_work(fresh.path), 3), at_work(fresh.path)
    # While pictures are drawn: the workflow alone. Its jobs must not go on without it.
    with started(command, fresh.path, workflow) as run:
        assert until(lambda: list(results.glob("samples/*/plain/seed0/*.npz")), 240), said()
        assert "its lock is removed" in said()
        assert until(lambda: len(at_work(fresh.path)) > 1, 30)
        run.send_signal(signal.SIGKILL)
        run.wait()
        time.sleep(1)
        left = fresh.contents()
        # A step that was still importing ends as soon as it has.
        assert until(lambda: not at_work(fresh.path), 15), at_work(fresh.path)
        assert fresh.contents() == left
    # While it is measured.
    with started(command, fresh.path, workflow) as run:
        assert until(lambda: list(results.glob("measurements/*/**/*.json")), 240), said()
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert not (results / "measurements.csv").exists()
    with started(command, fresh.path, workflow) as run:
        assert run.wait(400) == 0, said()
    whole, killed = (f.board / "measurements.csv" for f in (finished, fresh))
    lines = whole.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    assert len(rows) == len(lines) - 1
    left_out = [
        row["defense"] in LEFT_OUT or row["attack"].partition(".")[0] in LEFT_OUT for row in rows
    ]
    same = [line for line, out in zip(lines, [False, *left_out], strict=True) if not out]
    assert 50 < len(same) < len(lines)
    assert killed.read_text(encoding="utf-8").splitlines() == same
    assert not list(fresh.results.rglob(".tmp-*"))
    for network in ("pretrained", "base", "half-b", "distilled"):
        for file in finished.network(network).iterdir():
            assert (fresh.network(network) / file.name).read_bytes() == file.read_bytes(), file
    assert fresh.jobs() == set()


def test_a_checkpoint_that_was_cut_short_is_named_and_nothing_else_is_lost(board: Folder) -> None:
    source = board.path / "workflow/leakboard/checkpoints.py"
    text = source.read_text(encoding="utf-8")
    assert "SECONDS = 15" in text
    source.write_text(text.replace("SECONDS = 15", "SECONDS = 0"))
    board.set(TRACK, "networks.random-labels.training.steps", 100_000)
    before = board.contents()
    weights = board.network("random-labels") / "diffusion_pytorch_model.safetensors"
    target = str(weights.relative_to(board.path))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", target]
    checkpoints = board.board / "checkpoints/random-labels/seed0"
    with started(command, board.path, board.path / "workflow") as run:
        assert until(lambda: list(checkpoints.glob("[!.]*.safetensors")), 60, 0.005)
        os.killpg(run.pid, signal.SIGKILL)
    (checkpoint,) = checkpoints.glob("[!.]*.safetensors")
    os.truncate(checkpoint, checkpoint.stat().st_size // 2)
    done = board.snakemake("--unlock")
    assert done.returncode == 0, done.stdout
    done = board.snakemake(target)
    assert done.returncode == 1
    named = str(checkpoint.relative_to(board.path))
    assert done.stdout.count(f"{named}: not a whole safetensors file") == 1, done.stdout
    assert "remove it and run again" in done.stdout
    assert "Traceback" not in done.stdout
    after = board.contents()
    lost = {name for name in before if after.get(name) != before[name]}
    assert all("random-labels" in name for name in lost), lost
