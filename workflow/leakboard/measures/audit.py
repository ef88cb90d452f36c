"""All rows about one attack on one target: how well its scores tell members from strangers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from leakboard.measures import tests
from leakboard.measures.measure import Array, Measure
from leakboard.measures.membership import auc, bootstrap, membership

Table = Mapping[str, Any]  # pool, fold, score: (n,) each


def audit(tables: Mapping[str, Table], rng: np.random.Generator) -> list[Measure]:
    """The membership measures and CPSample's z-test, on the test half of the audited images.

    One table per network that the attacker holds, by name. Who holds several may score an image by
    any one of them, by the highest or by the mean of its scores: `auc:<which>` are the AUCs of all
    these, and every other row is that of the one farthest from 0.5 on the dev half; its note says
    which. Where members score lower on the dev half, an attacker turns the score around: `:turned`
    are the TPRs of the turned score, beside those of the score as it is.
    """
    first = next(iter(tables.values()))
    member = np.asarray(first["pool"]) == "members"
    dev, test = (np.asarray(first["fold"]) == fold for fold in ("dev", "test"))
    every = combinations({n: np.asarray(t["score"], np.float64) for n, t in tables.items()})
    chosen = max(every, key=lambda name: abs(auc(every[name][dev], member[dev]) - 0.5))
    score = every[chosen]
    found = membership((score[dev], member[dev]), (score[test], member[test]), rng)
    if auc(score[dev], member[dev]) < 0.5:
        turned = membership((-score[dev], member[dev]), (-score[test], member[test]), rng)
        found += [_turned(m) for m in turned if m.metric.startswith("tpr@")]
    z = tests.z_test(-score[test & member], -score[test & ~member])
    note = "one-sided: held-out images score lower than members; one value per image"
    found += [
        Measure("z", z.statistic, np.nan, np.nan, z.n, "z", "lower", note=note),
        Measure("z_p", z.p, np.nan, np.nan, z.n, "p", "", note=note),
    ]
    if len(tables) == 1:
        return found
    said = f"scored by {chosen}" if chosen in tables else f"{chosen} over {' and '.join(tables)}"
    found = [replace(m, note="; ".join(filter(None, [said, m.note]))) for m in found]
    for name, score in every.items():
        value = float(auc(score[test], member[test]))
        ends = bootstrap(auc, score[test], member[test], rng)
        found.append(Measure(f"auc:{name}", value, *ends, int(test.sum()), "probability", "chance"))
    return found


def _turned(measure: Measure) -> Measure:
    said = ["the score is turned around, as the dev half says", measure.note]
    return replace(measure, metric=f"{measure.metric}:turned", note="; ".join(filter(None, said)))


def combinations(scores: Mapping[str, Array]) -> dict[str, Array]:
    """What to score an image (n,) by: each network alone and, of several, their max and mean."""
    if len(scores) == 1:
        return dict(scores)
    stacked = np.stack(list(scores.values()))
    return {**scores, "max": stacked.max(0), "mean": stacked.mean(0)}
