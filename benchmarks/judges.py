"""What judging one board takes: all its membership statistics, from score tables to comparisons.

OMP_NUM_THREADS=1 python benchmarks/judges.py [TRACKS]     # from the root; 5 tracks by default

50 defenses x 20 attacks x 5 tracks, 25,000 scores a cell: half members, half strangers, half of
them dev and half test. Tables are made on the spot, as the workflow writes them, and not counted.
Two processes then do what its jobs do: read each table and audit it (one job for each attack, with
resamples of its own, writing its rows), read all again and compare each two defenses, for each
access. Last, one cell with the bootstrap written out: 2,000 resamples, each measured anew.
"""

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from leakboard import artefacts, measurements
from leakboard.measures.audit import audit, scored
from leakboard.measures.bootstrap import Resampler
from leakboard.measures.comparison import all_leaks
from leakboard.measures.membership import asr, auc, tpr_at_fpr

DEFENSES, ATTACKS, SCORES, PROCESSES = 50, 20, 25_000, 2
ACCESS = {"weights": range(7), "predictor": range(7, 14), "images": range(14, 20)}


def spec(attack: int, defense: int) -> dict[str, object]:
    about = {"track": "benchmark", "seed": 0, "defense": f"defense-{defense}", "sees": "weights"}
    return {"about": {**about, "attack": f"attack-{attack}", "reported": {}}}


def file(folder: str, attack: int, defense: int) -> Path:
    return Path(folder, f"{attack}-{defense}.parquet")


def make(folder: str, attack: int) -> None:
    """The tables of one attack, as `attack` writes them, with an AUC from 0.5 to about 1."""
    rng = np.random.default_rng(attack)
    index = np.arange(SCORES)
    members = index % 2 == 0
    table = pd.DataFrame({"index": index, "label": index % 10})
    table["pool"] = np.where(members, "members", "held-out")
    table["half"] = np.where(members, np.where(index % 4 == 0, "a", "b"), "")
    table["fold"] = np.where(index % 8 < 4, "dev", "test")
    table["times"] = 1
    for defense in range(DEFENSES):
        shift = 3 * (defense / DEFENSES) ** 2 * rng.uniform()
        table["score"] = rng.normal(size=SCORES) + shift * members
        artefacts.write_table(file(folder, attack, defense), spec(attack, defense), table)


def audited(folder: str, attack: int) -> tuple[float, float]:
    """What the step `membership` does; the seconds of reading, and of all."""
    begun, resampler, reading, cells = time.process_time(), Resampler(0), 0.0, []
    for defense in range(DEFENSES):
        started = time.process_time()
        table = artefacts.read_table(file(folder, attack, defense))
        reading += time.process_time() - started
        cells.append((spec(attack, defense), audit({"base": table}, resampler)))
    measurements.write_cells(Path(folder, f"{attack}.json"), cells)
    return reading, time.process_time() - begun


def compared(folder: str, access: str) -> tuple[float, float]:
    """All pairs of defenses under one access; the seconds of reading, and of all."""
    begun, reading, cells = time.process_time(), 0.0, {}
    for defense in range(DEFENSES):
        cells[str(defense)] = {}
        for attack in ACCESS[access]:
            started = time.process_time()
            table = artefacts.read_table(file(folder, attack, defense))
            reading += time.process_time() - started
            score, members = scored({"base": table}).judged
            cells[str(defense)][str(attack)] = [score]
    _, pairs = all_leaks(cells, members, Resampler(0)(members))
    assert len(pairs) == DEFENSES * (DEFENSES - 1) // 2
    return reading, time.process_time() - begun


def written_out(count: int) -> float:
    """The seconds of 2,000 resamples of one cell, each measured anew; from `count` of them."""
    rng = np.random.default_rng(0)
    members = np.arange(SCORES // 2) < SCORES // 4
    inside, outside = (rng.normal(shift, size=SCORES // 4) for shift in (0.8, 0.0))
    begun = time.process_time()
    for statistic in (auc, partial(tpr_at_fpr, fpr=0.01), partial(tpr_at_fpr, fpr=0.001), asr):
        for _ in range(count):
            statistic(np.concatenate([rng.choice(x, x.size) for x in (inside, outside)]), members)
    return (time.process_time() - begun) * 2000 / count


def main(tracks: int) -> None:
    wall = {"audits": 0.0, "comparisons": 0.0}
    cpu, reading = dict(wall), 0.0
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for track in range(tracks):
            with tempfile.TemporaryDirectory() as folder:
                list(pool.map(partial(make, folder), range(ATTACKS)))
                jobs = {"audits": (audited, range(ATTACKS)), "comparisons": (compared, ACCESS)}
                for name, (job, names) in jobs.items():
                    begun = time.perf_counter()
                    took = list(pool.map(partial(job, folder), names))
                    wall[name] += time.perf_counter() - begun
                    cpu[name] += sum(total for _, total in took)
                    reading += sum(read for read, _ in took)
            print(f"track {track + 1}: {sum(wall.values()):.0f} s so far", flush=True)
    cells = tracks * ATTACKS * DEFENSES
    for name in wall:
        each = 1000 * cpu[name] / cells
        print(
            f"{name}: {wall[name]:.1f} s, {cpu[name]:.1f} processor seconds, {each:.1f} ms a cell"
        )
    print(f"all: {sum(wall.values()):.1f} s, of {reading / PROCESSES:.1f} s to read tables twice")
    old, new = written_out(40), cpu["audits"] / cells
    print(f"one cell, each resample measured anew: {old:.1f} s, {old / new:.0f} times an audit")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
