"""Costs: what the jobs took, added up for each defense, and training by training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

COLUMNS = ["defense", "seed", "training_seconds", "sampling_seconds", "sampling_ratio"]
ASKED = ["network", "defense", "seed", "seconds", "drawing_seconds", "peak_memory_mb"]
TRAINED = ["images", "steps", "epochs", "seconds", "peak_memory_mb", "device"]


def costs(
    perf: Iterable[Mapping[str, Any]], trainings: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """One row per (defense, seed), in seconds and MB, from the jobs' perf records.

    training_seconds counts every training that the defense rests on (`trainings`), also those it
    shares, and those that are made with one seed for all; sampling_seconds the drawing itself,
    without start-up; sampling_ratio is to `none`; peak_memory_mb the largest of all these jobs.
    """
    jobs = pd.DataFrame(list(perf))
    jobs = jobs.reindex(columns=jobs.columns.union(ASKED))
    trained = jobs[jobs["network"].notna()]
    drawn = jobs[jobs["defense"].notna()]
    rows = []
    for (defense, seed), shards in drawn.groupby(["defense", "seed"], sort=False):
        mine = trained["network"].isin(trainings[str(defense)])
        own = trained["seed"] == seed
        once = ~trained["network"].isin(trained.loc[own, "network"])  # with another seed alone
        needed = trained[mine & (own | once)]
        memory = pd.concat([needed["peak_memory_mb"], shards["peak_memory_mb"]])
        rows.append(
            {
                "defense": defense,
                "seed": int(str(seed)),
                "training_seconds": round(needed["seconds"].sum(), 1),
                "sampling_seconds": shards["drawing_seconds"].sum(),
                "peak_memory_mb": memory.max(),
            }
        )
    made = ["defense", "seed", "training_seconds", "sampling_seconds", "peak_memory_mb"]
    table = pd.DataFrame(rows, columns=made)
    undefended = table[table["defense"] == "none"].set_index("seed")["sampling_seconds"]
    table["sampling_ratio"] = table["sampling_seconds"] / table["seed"].map(undefended)
    table["sampling_seconds"] = table["sampling_seconds"].round(1)
    return table[[*COLUMNS, "peak_memory_mb"]]


def trainings(
    perf: Iterable[Mapping[str, Any]], networks: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """One row per training: what it learned (`networks`: name -> config), for how long, on what.

    Equal steps are not equal epochs: a network of half the images sees each of them twice as often.
    """
    jobs = {(job["network"], job["seed"]): job for job in perf if "network" in job}
    rows = [
        {"network": name, "seed": int(seed), **about} | {key: job.get(key) for key in TRAINED}
        for name, about in networks.items()
        for (network, seed), job in jobs.items()
        if network == name
    ]
    about = ["trainer", "data", "init", "teachers"]
    return pd.DataFrame(rows, columns=["network", "seed", *about, *TRAINED])
