"""All rows about one attack on one target: how well its scores tell members from strangers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leakboard.measures import tests
from leakboard.measures.measure import Measure
from leakboard.measures.membership import membership

Table = Mapping[str, Any]  # pool, fold, score: (n,) each


def audit(tables: Sequence[Table], rng: np.random.Generator) -> list[Measure]:
    """The membership measures and CPSample's z-test, on the test half of the audited images.

    One table per network that the attacker holds; with several, an image's score is its highest.
    """
    score = np.max([np.asarray(table["score"], dtype=np.float64) for table in tables], axis=0)
    member = np.asarray(tables[0]["pool"]) == "members"
    dev, test = (np.asarray(tables[0]["fold"]) == fold for fold in ("dev", "test"))
    found = membership((score[dev], member[dev]), (score[test], member[test]), rng)
    z = tests.z_test(-score[test & member], -score[test & ~member])
    note = "one-sided: held-out images score lower than members; one value per image"
    return [
        *found,
        Measure("z", z.statistic, np.nan, np.nan, z.n, "z", "lower", note=note),
        Measure("z_p", z.p, np.nan, np.nan, z.n, "p", "", note=note),
    ]
