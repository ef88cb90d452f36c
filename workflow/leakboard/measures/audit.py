"""All rows about one attack on one target: how well its scores tell members from strangers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from leakboard.measures import tests
from leakboard.measures.bootstrap import Resampler, auc_interval
from leakboard.measures.measure import Array, Measure
from leakboard.measures.membership import at_dev_fpr, at_low_fprs, auc, membership

Table = Mapping[str, Any]  # pool, fold, score: (n,) each, columns or arrays


@dataclass(frozen=True)
class Scored:
    """What an attacker scores the audited images by, and how the dev half says to read it.

    name: a network, or "max" or "mean" over several; score: (n,). member, dev, test: (n,) bool.
    every: all that could be chosen.
    """

    name: str
    score: Array
    member: Array
    dev: Array
    test: Array
    every: Mapping[str, Array]

    @property
    def sign(self) -> int:
        """-1 where members score lower on the dev half, else 1."""
        return -1 if auc(self.score[self.dev], self.member[self.dev]) < 0.5 else 1

    @property
    def judged(self) -> tuple[Array, Array]:
        """The scores and members of the test half, (m,) each: what is compared and measured."""
        return self.score[self.test], self.member[self.test]


def scored(tables: Mapping[str, Table]) -> Scored:
    """The score of one cell, chosen on the dev half: see `audit`.

    tables: one per network that the attacker holds, by name.
    """
    first = next(iter(tables.values()))
    member = np.asarray(first["pool"] == "members")
    dev, test = (np.asarray(first["fold"] == fold) for fold in ("dev", "test"))
    every = combinations({n: np.asarray(t["score"], np.float64) for n, t in tables.items()})
    name = next(iter(every))
    if len(every) > 1:
        areas = {n: auc(score[dev], member[dev]) for n, score in every.items()}
        name = max(areas, key=lambda n: abs(areas[n] - 0.5))
    return Scored(name, every[name], member, dev, test, every)


def audit(tables: Mapping[str, Table], resampler: Resampler) -> list[Measure]:
    """The membership measures and CPSample's z-test, on the test half of the audited images.

    One table per network that the attacker holds, by name. Who holds several may score an image by
    any one of them, by the highest or by the mean of its scores: `auc:<which>` are the AUCs of all
    these, and every other row is that of the one farthest from 0.5 on the dev half; its note says
    which. Where members score lower on the dev half, an attacker turns the score around: `:turned`
    are the TPRs of the turned score, beside those of the score as it is.
    """
    cell = scored(tables)
    member, dev, (score, members) = cell.member, cell.dev, cell.judged
    resamples = resampler(members)
    found = membership((cell.score[dev], member[dev]), (score, members), resamples)
    if cell.sign < 0:
        tprs = at_low_fprs(-score, members, resamples)
        tprs += at_dev_fpr((-cell.score[dev], member[dev]), (-score, members))[:1]
        found += [_turned(m) for m in tprs]
    z = tests.z_test(-score[members], -score[~members])
    note = "one-sided: held-out images score lower than members; one value per image"
    found += [
        Measure("z", z.statistic, np.nan, np.nan, z.n, "z", "lower", note=note),
        Measure("z_p", z.p, np.nan, np.nan, z.n, "p", "", note=note),
    ]
    if len(tables) == 1:
        return found
    said = f"scored by {cell.name}"
    if cell.name not in tables:
        said = f"{cell.name} over {' and '.join(tables)}"
    found = [replace(m, note="; ".join(filter(None, [said, m.note]))) for m in found]
    for name, each in cell.every.items():
        area = auc_interval(each[cell.test], members, resamples)
        found.append(Measure(f"auc:{name}", *area, members.size, "probability", "chance"))
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
