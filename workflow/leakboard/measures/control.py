"""Controls: entries whose outcome is known beforehand, and that say when a board means nothing."""

import pandas as pd

from leakboard.measures.ranking import FORMATS, interval


def blind(measurements: pd.DataFrame) -> str:
    """What an attack that sees no model says about the split, in a sentence; empty if none was run.

    measurements: sees, metric, value, ci_low, ci_high. Where several were run, the one farthest
    from 0.5 speaks. Members and strangers that are alike keep 0.5 in its 95 % interval, but for one
    split in twenty.
    """
    rows = measurements[(measurements["sees"] == "nothing") & (measurements["metric"] == "auc")]
    numbers = rows[["value", "ci_low", "ci_high"]].apply(pd.to_numeric, errors="coerce").dropna()
    if not len(numbers):
        return ""
    value, low, high = numbers.loc[(numbers["value"] - 0.5).abs().idxmax()]
    found = f"{FORMATS['auc'](value)} ({interval('auc', low, high)})"
    if low <= 0.5 <= high:
        verdict = "members and strangers look alike to it"
    else:
        verdict = (
            "the split itself tells members from strangers, so no other AUC here speaks of the "
            "model alone"
        )
    return f"A blind attack, which sees no model, reaches an AUC of {found}: {verdict}."
