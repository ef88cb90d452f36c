"""The verdict over a track says what is wrong with it, and what it lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from leakboard.measures.board import judged

SEES = ("weights", "predictor")
ENTRY = {"attacks": [("pia", sees) for sees in SEES]}
SPEC = {
    "track": "t",
    "defenses": {
        "none": {**ENTRY, "role": "undefended"},
        "amg": {**ENTRY, "role": "contestant"},
        "noise": {"role": "noise"},
    },
    "headline": {"copies": "copy_rate:pixels", "quality": "fid:eyes"},
    "contenders": [],
    "gate": 3.0,
    "calibration": 0.01,
    "members": 100,
}
PAIRS = [
    *("column", "a", "b", "attack_a", "attack_b", "value_a", "value_b"),
    *("difference", "ci_low", "ci_high", "p", "se", "n"),
]
COSTS = {
    "seed": 0,
    "training_seconds": 1.0,
    "sampling_seconds": 1.0,
    "sampling_ratio": 1.0,
    "peak_memory_mb": 9.0,
}


def row(defense: str, metric: str, value: float, **more: Any) -> dict[str, Any]:
    texts = dict.fromkeys(("sampler", "attack", "sees", "status", "note"), "")
    ends = {"ci_low": value, "ci_high": value, "n": 100, "track": "t", "seed": 0}
    return {**texts, **ends, "defense": defense, "metric": metric, "value": value, **more}


def rows() -> list[dict[str, Any]]:
    found = []
    for name, copies, fid in (("none", 0.2, 1.0), ("amg", 0.02, 1.5), ("noise", 0.0, 90.0)):
        drawn = {"sampler": "plain"}
        found += [
            row(name, metric, value, **drawn)
            for metric, value in (
                ("copy_rate:pixels", copies),
                ("memorization_ratio:pixels", copies),
                ("nl2<1.4:pixels", copies),
                ("fid:eyes", fid),
                ("kid:eyes", 0.1),
            )
        ]
    for name in ("none", "amg"):
        for sees in SEES:
            seen = {"attack": "pia", "sees": sees}
            found += [row(name, metric, 0.9, **seen) for metric in ("auc", "tpr@1%fpr")]
    return found


def judge(measured: list[dict[str, Any]], *reasons: str) -> Any:
    costs = pd.DataFrame([{**COSTS, "defense": name} for name in SPEC["defenses"]])
    return judged(pd.DataFrame(measured), costs, pd.DataFrame(columns=PAIRS), SPEC, reasons)


def test_a_sound_and_whole_board_is_valid_and_complete():
    found = judge(rows()).verdict
    assert (found["track"], found["valid"], found["complete"]) == ("t", True, True)
    assert found["reasons"] == found["missing"] == []
    assert len(found["warnings"]) == 3  # no copy machine, no stranger, no blind attack


def test_a_cell_that_failed_is_named_with_its_reason_and_its_row_has_no_rank():
    lost = [
        {**r, "value": np.nan, "status": "failed", "note": "the disk is full"}
        if (r["defense"], r["attack"]) == ("amg", "pia")
        else r
        for r in rows()
    ]
    found = judge(lost, "2 cells: the disk is full")
    assert found.verdict["valid"]
    assert not found.verdict["complete"]
    assert found.verdict["missing"] == ["2 cells: the disk is full"]
    table = found.table.set_index("defense")
    assert table.loc["amg", "unranked"].startswith("incomplete")
    assert np.isnan(table.loc["amg", "weights_auc"])


def test_a_cell_that_is_not_there_at_all_is_named_too():
    found = judge([r for r in rows() if (r["defense"], r["metric"]) != ("amg", "fid:eyes")])
    assert found.verdict["missing"] == ["amg: missing: fid:eyes"]


def test_a_control_that_fails_makes_the_board_invalid_whatever_else_is_there():
    found = judge([{**r, "value": 2.0} if r["value"] == 90.0 else r for r in rows()])
    assert not found.verdict["valid"]
    assert found.verdict["complete"]
    assert "useless pictures" in found.verdict["reasons"][0]
    assert not found.controls.set_index("control").loc["noise", "passed"]
