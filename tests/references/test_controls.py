"""Controls invalidate a board where they come out otherwise than known beforehand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from leakboard.measures import control
from leakboard.measures.audit import audit
from leakboard.measures.bootstrap import Resampler
from leakboard.measures.control import controls, null_band, verdict

ROLES = {
    "none": "undefended",
    "copy-machine": "copy-machine",
    "never-saw-members": "never-saw-members",
    "noise": "noise",
}
HEADLINE = {"copies": "copy_rate:pixels", "quality": "fid:eyes"}
START = {"track": "t", "seed": 0, "sampler": "", "attack": "", "sees": "", "n": 1000}
ENDS = {"ci_low": np.nan, "ci_high": np.nan}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(6)


def drawn(defense: str, metric: str, value: float, **more: Any) -> dict[str, Any]:
    sampled = {"defense": defense, "metric": metric, "value": value, "sampler": "plain"}
    return {**START, **ENDS, **sampled, **more}


def audited(
    rng: np.random.Generator, defense: str, sees: str, shift: float, *, swapped: bool = False
) -> list[dict[str, Any]]:
    """Real rows of one attack whose scores are `shift` deviations higher for members."""
    member = np.arange(600) < 100
    score = rng.normal(size=600) + shift * member
    table = {
        "pool": np.where(member ^ swapped, "members", "held-out"),
        "fold": np.where(np.arange(600) % 2, "dev", "test"),
        "score": score,
    }
    about = {**START, "defense": defense, "attack": "loss", "sees": sees}
    return [{**about, **asdict(each)} for each in audit({"base": table}, Resampler(6))]


def board(rng: np.random.Generator, *, swapped: bool = False) -> list[dict[str, Any]]:
    """A board on which every control comes out as it should, but for swapped labels."""
    copies = ("copy_rate:pixels", "copy_rate>0.9:pixels", "memorization_ratio:pixels")
    return [
        drawn("none", "copy_rate:pixels", 0.2, ci_low=0.18, ci_high=0.23),
        drawn("none", "fid:eyes", 1.0),
        *(drawn("copy-machine", metric, 1.0) for metric in copies),
        drawn("copy-machine", "ams:copy:pixels", 1.0, sampler="", attack="random", sees="images"),
        drawn("copy-machine", "ums:copy:pixels", 0.1, sampler="", attack="random", sees="images"),
        drawn("copy-machine", "permutation_mean_p:pixels", 0.001),
        drawn("copy-machine", "permutation_p:pixels", 0.998),  # blind to so many copies
        drawn("copy-machine", "fid:eyes", 0.4),
        drawn("noise", "fid:eyes", 50.0),
        *audited(rng, "none", "weights", 2.0, swapped=swapped),
        *audited(rng, "never-saw-members", "weights", 0.0, swapped=swapped),
        *audited(rng, "", "nothing", 0.0, swapped=swapped),
    ]


def judged(rows: list[dict[str, Any]], **more: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    settings = {"gate": 3.0, "calibration": 0.001, "members": 100, **more}
    table = controls(pd.DataFrame(rows), ROLES, HEADLINE, **settings)
    return table, verdict(table, ROLES)


def changed(
    rows: list[dict[str, Any]], defense: str, metric: str, **new: Any
) -> list[dict[str, Any]]:
    found = [row["defense"] == defense and row["metric"] == metric for row in rows]
    assert any(found)
    return [{**row, **new} if hit else row for row, hit in zip(rows, found, strict=True)]


def test_a_sound_board_is_valid_and_every_control_says_so(rng: np.random.Generator):
    table, found = judged(board(rng))
    assert found == {"valid": True, "reasons": [], "warnings": []}
    assert set(table["role"]) == {*ROLES.values(), "blind"}
    assert table["passed"].all()
    assert table["words"].str.endswith(".").all()
    assert (table["track"] == "t").all()


def test_swapping_members_and_held_out_flips_the_stamp(rng: np.random.Generator):
    assert judged(board(rng))[1]["valid"]
    _, found = judged(board(rng, swapped=True))
    assert not found["valid"]
    assert any("members do not score higher" in words for words in found["reasons"])


@pytest.mark.parametrize(
    ("defense", "metric", "new", "said"),
    [
        ("none", "copy_rate:pixels", {"value": 0.002, "ci_low": 0.0005}, "nothing that a defense"),
        ("copy-machine", "memorization_ratio:pixels", {"value": 0.9}, "it misses copies"),
        ("copy-machine", "ams:copy:pixels", {"value": 0.5}, "it misses copies"),
        ("copy-machine", "ums:copy:pixels", {"value": 0.01}, "it misses copies"),
        ("copy-machine", "permutation_mean_p:pixels", {"value": 0.2}, "it misses copies"),
        ("noise", "fid:eyes", {"value": 2.9}, "useless pictures"),
        ("never-saw-members", "auc", {"value": 0.7}, "finds what is not there"),
        ("never-saw-members", "auc", {"value": 0.3}, "finds what is not there"),
        ("", "auc", {"value": 0.75}, "the split itself"),
        ("none", "auc", {"ci_low": 0.49}, "nothing protects"),
    ],
)
def test_each_control_alone_can_invalidate_the_board(
    rng: np.random.Generator, defense: str, metric: str, new: dict[str, float], said: str
):
    _, found = judged(changed(board(rng), defense, metric, **new))
    assert not found["valid"]
    (reason,) = found["reasons"]
    assert said in reason


@pytest.mark.parametrize(
    ("leaks", "metric", "new"),
    [
        (["members"], "copy_rate:pixels", {"value": 0.002, "ci_low": 0.0005}),
        (["copies"], "auc", {"ci_low": 0.49}),
    ],
)
def test_what_the_undefended_model_need_not_leak_invalidates_nothing(
    rng: np.random.Generator, leaks: list[str], metric: str, new: dict[str, float]
):
    rows = changed(board(rng), "none", metric, **new)
    assert not judged(rows)[1]["valid"]
    table, found = judged(rows, leaks=leaks)
    assert found["valid"]
    assert len(table) == len(judged(rows)[0]) - 1


def test_the_gate_is_the_declared_multiple(rng: np.random.Generator):
    assert judged(board(rng), gate=49.0)[1]["valid"]
    assert not judged(board(rng), gate=51.0)[1]["valid"]


def test_each_seed_has_to_pass(rng: np.random.Generator):
    again = [{**row, "seed": 1} for row in board(rng)]
    again = changed(again, "noise", "fid:eyes", value=1.0)
    table, found = judged([*board(rng), *again])
    assert not found["valid"]
    assert table.loc[~table["passed"], "seed"].tolist() == [1]


def test_a_control_that_is_absent_or_not_measured_is_named(rng: np.random.Generator):
    rows = [row for row in board(rng) if row["defense"] not in ("noise", "")]
    _, found = judged(rows)
    assert found["valid"]
    assert [words.split("'")[1] for words in found["warnings"]] == ["noise", "blind"]
    assert "has no number" in found["warnings"][0]
    without = {name: role for name, role in ROLES.items() if role != "noise"}
    table = controls(
        pd.DataFrame(rows), without, HEADLINE, gate=3.0, calibration=0.001, members=100
    )
    assert "cannot rule out that its utility gate" in verdict(table, without)["warnings"][0]


def test_the_null_band_holds_its_level(rng: np.random.Generator):
    inside, outside, level = 50, 500, 0.9
    low, high = null_band(inside, outside, level)
    ranks = rng.random((4000, inside + outside)).argsort(1).argsort(1)[:, :inside] + 1
    auc = (ranks.sum(1) - inside * (inside + 1) / 2) / (inside * outside)
    kept = ((low <= auc) & (auc <= high)).mean()
    assert abs(kept - level) < 4 * np.sqrt(level * (1 - level) / 4000)
    assert high - 0.5 == pytest.approx(norm.ppf(0.95) * auc.std(), rel=0.05)


def test_a_sound_board_is_seldom_stamped_invalid_by_its_null_bands(rng: np.random.Generator):
    """Ten attacks on a model that never saw members: one sound board in a hundred is void."""
    void = 0
    for _ in range(2000):
        ranks = rng.random((10, 275)).argsort(1).argsort(1)[:, :25] + 1
        aucs = (ranks.sum(1) - 25 * 26 / 2) / (25 * 250)
        low, high = null_band(25, 250, 1 - control.FALSE_ALARM / 10)
        void += bool(((aucs < low) | (aucs > high)).any())
    assert void / 2000 < control.FALSE_ALARM + 3 * np.sqrt(0.01 / 2000)
