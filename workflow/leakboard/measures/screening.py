"""What it takes to hold pictures back: how many draws pass, and what is let out regardless."""

import numpy as np

from leakboard.measures.measure import Array, Measure, binomial, rate


def screening(tries: Array, passed: Array, extractor: str) -> list[Measure]:
    """The rows about a defense that draws pictures again until they pass.

    tries (n,) of 1, 2, ...: draws of each picture; passed (n,) bool: whether one of them passed.
    acceptance_rate is over draws, the other shares over pictures. Raises ValueError where
    shapes differ or a picture was never drawn.
    """
    tries, passed = np.asarray(tries), np.asarray(passed)
    if tries.shape != passed.shape or passed.dtype != bool or not tries.size or tries.min() < 1:
        raise ValueError(f"tries are {tries.shape}, at least 1 each; passed is {passed.shape} bool")
    n, draws = tries.size, int(tries.sum())
    error = 1.96 * tries.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    mean = float(tries.mean())
    note = f"in the space of {extractor}; n counts draws"
    capped = f"none of {tries.max()} tries passed: the least similar is handed out"
    capped = "" if passed.all() else capped  # where all passed, the cap is not known
    return [
        Measure(
            "acceptance_rate",
            *binomial(int(passed.sum()), draws),
            draws,
            "share",
            "higher",
            note=note,
        ),
        Measure("redrawn_rate", *rate(tries > 1), n, "share", "lower"),
        Measure("tries_mean", mean, np.maximum(1, mean - error), mean + error, n, "draws", "lower"),
        Measure("tries_max", float(tries.max()), np.nan, np.nan, n, "draws", "lower"),
        Measure("capped_rate", *rate(~passed), n, "share", "lower", note=capped),
    ]
