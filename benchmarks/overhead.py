"""What a job costs before it does anything, and how long planning takes. Medians of several runs.

python benchmarks/overhead.py        # from the root, after `make leaderboard`
"""

import statistics
import subprocess
import sys
import time

RUNS = 5
CASES = {
    "python alone": ["-c", ""],
    "a statistics job's imports (no torch)": [
        "-c",
        "import leakboard.artefacts, leakboard.measurements, leakboard.job, "
        "leakboard.measures.audit, leakboard.measures.copying",
    ],
    "a quality job's imports (torch, torchmetrics)": ["-c", "import leakboard.quality"],
    "a network job's imports (torch, diffusers)": [
        "-c",
        "import leakboard.sampling, leakboard.training, leakboard.artefacts, leakboard.job",
    ],
    "snakemake -n on the finished default": ["-m", "snakemake", "-n"],
}


def seconds(arguments: list[str]) -> float:
    """Wall seconds of one Python process."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


for case, arguments in CASES.items():
    seconds(arguments)  # once to warm the file cache
    runs = [seconds(arguments) for _ in range(RUNS)]
    print(f"{case:48} {statistics.median(runs):6.2f} s   ({min(runs):.2f} to {max(runs):.2f})")
