"""Several jobs on a machine with several GPUs: each has one to itself, and gives it back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leakboard import devices

WORKFLOW = Path(__file__).parents[2] / "workflow"
JOB = """
import sys
from leakboard import devices
devices.lease(wait=0.05)
print(devices.os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""
IMPORTS = """
import torch
def asked(*_): raise SystemExit("CUDA was asked before the lease")
torch.cuda.is_available = torch.cuda.device_count = torch.cuda.init = asked
from leakboard import features, networks, queries, sampling, training
networks._class("UNet2DModel")
"""


def env(folder: Path, **more: str) -> dict[str, str]:
    """What a job finds: its own folder of leases, and no choice of devices but `more`."""
    names = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
    kept = {name: text for name, text in os.environ.items() if name not in names}
    return {**kept, "PYTHONPATH": str(WORKFLOW), "TMPDIR": str(folder), **more}


@contextmanager
def job(folder: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that leases a device, says which, and keeps it until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", JOB],
        env=env(folder, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """The device that a job has, once it has one."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_jobs_at_once_never_share_a_device_and_the_next_one_waits(tmp_path: Path) -> None:
    three = {"CUDA_VISIBLE_DEVICES": "4,GPU-7f,6"}
    with (
        job(tmp_path, **three) as a,
        job(tmp_path, **three) as b,
        job(tmp_path, **three) as c,
    ):
        assert {said(a), said(b), said(c)} == {"4", "GPU-7f", "6"}
        with job(tmp_path, **three) as waiting:
            os.set_blocking(waiting.stdout.fileno(), False)  # type: ignore[union-attr]
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(1)
            assert not said(waiting)
            os.set_blocking(waiting.stdout.fileno(), True)  # type: ignore[union-attr]
            b.send_signal(signal.SIGKILL)  # whatever ends a job frees its device
            b.wait()
            assert said(waiting) in {"4", "GPU-7f", "6"}


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "0,1"}, "0,1"),  # SLURM's choice
        ({"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),  # as a person hides all of them
    ],
)
def test_what_was_chosen_already_stays(given: dict[str, str], seen: str, tmp_path: Path) -> None:
    with job(tmp_path, **given) as one, job(tmp_path, **given) as other:
        assert said(one) == said(other) == seen


def test_devices_are_counted_without_asking_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.candidates(tmp_path) == ["0", "1", "2"]


def test_nothing_asks_cuda_before_the_lease(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], env=env(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
