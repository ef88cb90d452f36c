"""Only what the tests tell apart is put in order; who is ruined or lacks a number has no rank."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leakboard.measures import ranking
from leakboard.measures.standings import RANKED, standings

ROLES = {
    "none": "undefended",
    "early": "early-stop",
    "later": "early-stop",
    "noise": "noise",
}
# copy rate, AUCs of weights, predictor and images, FID
NUMBERS = {
    "none": (0.20, 0.99, 0.99, 0.90, 1.0),
    "best": (0.01, 0.60, 0.60, 0.60, 1.5),
    "copies": (0.15, 0.60, 0.60, 0.60, 1.5),
    "leaky": (0.01, 0.99, 0.99, 0.90, 1.5),
    "ruined": (0.00, 0.50, 0.50, 0.50, 9.0),
    "early": (0.05, np.nan, np.nan, np.nan, 1.2),
    "later": (0.12, np.nan, np.nan, np.nan, 1.1),
    "noise": (0.00, np.nan, np.nan, np.nan, 80.0),
}


def table(numbers: dict[str, tuple[float, ...]] = NUMBERS) -> pd.DataFrame:
    rows = []
    for name, values in numbers.items():
        shown = dict(zip((*RANKED, "fid"), values, strict=True))
        ends = {"copy_rate_high": values[0] + 0.01, "role": ROLES.get(name, "contestant")}
        rows.append({"track": "t", "defense": name, **shown, **ends})
    return pd.DataFrame(rows).reindex(columns=ranking.COLUMNS)


def pairs(numbers: dict[str, tuple[float, ...]] = NUMBERS, se: float = 0.01) -> pd.DataFrame:
    """Comparisons whose p is tiny where the difference is 4 standard errors, else 1."""
    rows: list[dict[str, Any]] = []
    for at, column in enumerate(RANKED):
        for a, b in combinations(numbers, 2):
            both = np.array([numbers[a][at], numbers[b][at]])
            leaks = both if column == "copy_rate" else np.abs(both - 0.5)
            if not np.isfinite(leaks).all():
                continue
            gap = leaks[0] - leaks[1]
            rows.append(
                {
                    "column": column, "a": a, "b": b, "attack_a": "", "attack_b": "",
                    "value_a": both[0], "value_b": both[1], "difference": gap,
                    "ci_low": gap - 2 * se, "ci_high": gap + 2 * se,
                    "p": 1e-9 if abs(gap) > 4 * se else 1.0, "se": se, "n": 1000,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def stand(
    numbers: dict[str, tuple[float, ...]] = NUMBERS, gate: float = 3.0, se: float = 0.01
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    board, compared, smallest = standings(table(numbers), pairs(numbers, se), gate)
    return board.set_index("defense"), compared, smallest


def test_ranks_say_what_the_tests_leave_open():
    board, _, _ = stand()
    ranks = board[["rank_low", "rank_high", "group"]].loc[["best", "copies", "leaky"]]
    # `best` beats both; of the other two each is worse in something: nobody comes first
    assert ranks.to_numpy().tolist() == [[1, 1, "a"], [2, 3, "b"], [2, 3, "b"]]
    assert board.loc["best", "copy_rate_rank_high"] == 2  # with `leaky`
    assert board.loc["leaky", "copy_rate_group"] == board.loc["best", "copy_rate_group"]
    assert board.loc["leaky", "weights_auc_rank_low"] == 3


def test_what_no_test_separates_is_tied():
    board, compared, _ = stand(se=1.0)
    assert board.loc[["best", "copies", "leaky"], "rank_high"].tolist() == [3, 3, 3]
    assert board.loc[["best", "copies", "leaky"], "group"].tolist() == ["a", "a", "a"]
    assert set(compared.loc[compared["family"] == "ranked", "verdict"]) == {"tied"}


def test_reference_rows_and_ruined_ones_have_no_rank_and_say_why():
    board, _, _ = stand()
    assert board.loc["none", "unranked"].startswith("what every defense")
    assert board.loc["early", "unranked"].startswith("a baseline")
    assert board.loc["noise", "unranked"].startswith("a control")
    assert "9 times that of none, and at most 3 times" in board.loc["ruined", "unranked"]
    assert board.loc[["none", "early", "noise", "ruined"], "rank_low"].isna().all()
    assert board.loc["ruined", "fid_ratio"] == 9.0
    assert stand(gate=10.0)[0].loc["ruined", "unranked"] == ""


def test_an_entry_that_lacks_a_ranked_number_has_no_rank():
    numbers = {**NUMBERS, "best": (0.01, np.nan, 0.6, 0.6, 1.5)}
    board, _, _ = stand(numbers)
    assert board.loc["best", "unranked"].startswith(
        "incomplete: it lacks the AUC of who sees the w"
    )
    assert board.loc["leaky", "rank_low"] == 1


def test_a_column_that_the_track_does_not_have_ranks_nobody():
    numbers = {name: (v[0], v[1], v[2], np.nan, v[4]) for name, v in NUMBERS.items()}
    board, _, smallest = stand(numbers)
    assert board.loc["best", "unranked"] == ""
    assert board["images_auc_rank_low"].isna().all()
    assert set(smallest) == {"copy_rate", "weights_auc", "predictor_auc"}


def test_the_order_is_the_undefended_model_ranks_the_unranked_baselines_controls():
    board, _, _ = stand()
    assert list(board.index) == [
        "none", "best", "leaky", "copies", "ruined", "early", "later", "noise",
    ]  # fmt: skip


def test_every_family_of_tests_is_adjusted_by_itself():
    _, compared, _ = stand()
    copies = compared[compared["column"] == "copy_rate"]
    sizes = copies.groupby("family").size().to_dict()
    # three ranked; four contestants against none, and each against its early stop; the rest
    assert sizes == {"ranked": 3, "none": 4, "early-stop": 4, "": 28 - 11}
    versus = copies[copies["family"] == "none"]
    assert sorted(versus["p_holm"]) == pytest.approx([1e-9 * 4] * 4)
    assert (copies.loc[copies["family"] == "", "verdict"] == "").all()
    assert set(compared.loc[compared["column"] != "copy_rate", "family"]) == {"ranked", "none", ""}


def test_a_defense_is_compared_with_the_hardest_early_stop_that_is_as_good():
    board, _, _ = stand()
    assert board.loc["best", "early_stop"] == "early"  # both are as good; it copies less
    assert board.loc["best", "early_stop_difference"] == pytest.approx(0.01 - 0.05)
    assert board.loc["best", "early_stop_difference_low"] == pytest.approx(-0.06)
    assert board.loc["best", "early_stop_p"] == pytest.approx(1.0)
    assert board.loc["copies", "early_stop_difference"] == pytest.approx(0.10)
    assert board.loc["none", "early_stop"] == ""
    sharper = {**NUMBERS, "best": (0.01, 0.6, 0.6, 0.6, 1.15)}
    assert stand(sharper)[0].loc["best", "early_stop"] == "later"
    sharpest = {**NUMBERS, "best": (0.01, 0.6, 0.6, 0.6, 0.9)}
    assert stand(sharpest)[0].loc["best", "early_stop"] == "later"  # none is as good: the nearest


def test_the_smallest_difference_is_what_a_test_finds_in_eight_of_ten_cases():
    _, _, smallest = stand(se=0.01)
    assert smallest["copy_rate"]["value"] == pytest.approx((1.959964 + 0.841621) * 0.01, rel=1e-5)
    assert "2.8 points" in smallest["copy_rate"]["words"]


def test_comparisons_do_not_depend_on_the_order_of_a_pair():
    turned = pairs()
    turned = turned.rename(columns={"a": "b", "b": "a", "value_a": "value_b", "value_b": "value_a"})
    turned["difference"], ends = -turned["difference"], (-turned["ci_high"], -turned["ci_low"])
    turned["ci_low"], turned["ci_high"] = ends
    board, _, _ = standings(table(), turned, 3.0)
    assert board.set_index("defense").equals(stand()[0])
