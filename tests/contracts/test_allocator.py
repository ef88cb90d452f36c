"""Large blocks that are freed stay with the process, which need not have them cleared again."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = Path(__file__).parents[2] / "workflow"
FAULTS = """
import resource, sys
import torch
from leakboard import allocator
if sys.argv[1] == "keep":
    allocator.keep()
for _ in range(20):  # 64 MB each: until glibc has joined what lies between them
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_tensors_use_the_memory_of_those_before_them():
    faults = {}
    for how in ("keep", "leave"):
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, how],
            env={**os.environ, "PYTHONPATH": str(WORKFLOW)},
            capture_output=True,
            text=True,
            check=True,
        )
        faults[how] = int(done.stdout)
    assert faults["leave"] > 100  # of 4 blocks, by huge pages of 2 MB or small ones of 4 kB
    assert faults["keep"] < faults["leave"] / 10
