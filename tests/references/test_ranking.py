"""The leaderboard says of each defense what the long table of measurements says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leakboard.measures.grid import family
from leakboard.measures.ranking import COLUMNS, leaderboard
from leakboard.measures.shown import to_markdown
from leakboard.measures.standings import standings

HEADLINE = {"copies": "copy_rate:local-sscd", "quality": "fid:local-classifier"}
SEES = ("weights", "predictor", "images")
ATTACKS = [(attack, sees) for sees in SEES for attack in ("loss", "secmi")]
DEFENSES = {
    "amg": {"paper": "AMG", "caveat": "slow | heavy", "reported": None, "attacks": ATTACKS},
    "none": {"attacks": ATTACKS},
    "dualmd": {"attacks": ATTACKS},
}
AUCS = {"none": (0.7, 0.9), "amg": (0.8, 0.6), "dualmd": (0.55, 0.5)}  # loss, secmi
COPIES = {"none": 0.2, "amg": 0.02, "dualmd": 0.01}


def row(defense: str, metric: str, value: float, **others: object) -> dict[str, object]:
    text = dict.fromkeys(
        ("sampler", "attack", "sees", "unit", "better", "digest", "status", "note"), ""
    )
    numbers = {"ci_low": np.nan, "ci_high": np.nan, "n": np.nan, "reported": np.nan}
    start = {"track": "digits", "seed": 0, "defense": defense, "metric": metric, "value": value}
    return {**text, **numbers, **start, **others}


def measured(seed: int = 0, shift: float = 0.0) -> list[dict[str, object]]:
    rows = [row("", "self_similarity:local-sscd", 0.99, seed=seed)]
    for defense, copies in COPIES.items():
        drawn = {"sampler": "plain", "n": 1000, "seed": seed}
        ends = {"ci_low": copies / 2, "ci_high": copies * 2 + shift}
        rows.append(row(defense, HEADLINE["copies"], copies + shift, **ends, **drawn))
        rows.append(row(defense, HEADLINE["copies"], 1.0, **drawn | {"sampler": "side"}))
        rows.append(row(defense, "memorization_ratio:pixels", copies, **drawn))
        rows.append(row(defense, "nl2<1.4:pixels", copies / 2, **drawn))
        rows.append(row(defense, "fid:local-classifier", 3.0, ci_low=2, ci_high=4, **drawn))
        rows.append(row(defense, "kid:local-classifier", -0.001, **drawn))
        for sees in SEES:
            for attack, auc in zip(("loss", "secmi"), AUCS[defense], strict=True):
                tried = {"attack": attack, "sees": sees, "n": 400, "seed": seed}
                ends = {"ci_low": auc - 0.02, "ci_high": auc + 0.02}
                rows.append(row(defense, "auc", auc + shift, **ends, **tried))
                status = "unresolved" if defense == "dualmd" else ""
                rate = np.nan if status else 1 - auc
                rows.append(row(defense, "tpr@1%fpr", rate, status=status, **tried))
    return rows


def rank(
    rows: list[dict[str, object]],
    defenses: Any = DEFENSES,
    contenders: Sequence[Mapping[str, str]] = (),
) -> pd.DataFrame:
    costs = pd.DataFrame(
        [
            {
                "defense": defense,
                "seed": 0,
                "training_seconds": 300.0,
                "sampling_seconds": 40.0,
                "sampling_ratio": 1.0,
                "peak_memory_mb": 900.0,
            }
            for defense in DEFENSES
        ]
    )
    return leaderboard(pd.DataFrame(rows), costs, defenses, HEADLINE, contenders)


PAIRS = [
    "column",
    "a",
    "b",
    "value_a",
    "value_b",
    "difference",
    "ci_low",
    "ci_high",
    "p",
    "se",
    "n",
]
VERDICT = {"valid": True, "complete": True, "reasons": [], "missing": [], "warnings": []}


def markdown(table: pd.DataFrame, **verdict: Any) -> list[str]:
    """The lines of a board on which nothing was compared."""
    board, _, smallest = standings(table, pd.DataFrame(columns=PAIRS), gate=3.0)
    return to_markdown(board, {**VERDICT, "smallest": smallest, **verdict}).splitlines()


def test_the_membership_cell_is_the_strongest_attack_with_its_own_interval():
    table = rank(measured()).set_index("defense")
    assert table["weights_attack"].to_dict() == {"none": "secmi", "amg": "loss", "dualmd": "loss"}
    assert table.loc["none", "predictor_auc"] == pytest.approx(0.9)
    assert table.loc["none", "predictor_auc_low"] == pytest.approx(0.88)
    assert table.loc["amg", "weights_auc_high"] == pytest.approx(0.82)
    # the highest rate need not be that of the attack with the highest AUC
    assert table.loc["none", "weights_tpr"] == pytest.approx(0.3)


def test_the_highest_tpr_may_be_that_of_a_score_turned_around():
    tried = {"attack": "loss", "sees": "images", "n": 400}
    rows = [*measured(), row("amg", "tpr@1%fpr:turned", 0.97, **tried)]
    table = rank(rows).set_index("defense")
    assert table.loc["amg", "images_tpr"] == pytest.approx(0.97)
    assert table.loc["none", "images_tpr"] == pytest.approx(0.3)


def test_each_access_has_its_own_worst_case():
    rows = [r | {"value": 0.51} if r["sees"] == "predictor" else r for r in measured()]
    table = rank(rows).set_index("defense")
    assert table.loc["none", "weights_auc"] == pytest.approx(0.9)
    assert table.loc["none", "predictor_auc"] == pytest.approx(0.51)


def test_the_undefended_model_comes_first_and_the_rest_by_the_upper_end_of_the_copy_rate():
    assert list(rank(measured())["defense"]) == ["none", "dualmd", "amg"]
    ends = {"amg": 0.001, "dualmd": 0.5, "none": 0.9}
    rows = [r | {"ci_high": ends.get(str(r["defense"]))} for r in measured()]
    assert list(rank(rows)["defense"]) == ["none", "amg", "dualmd"]


def test_equal_copy_rates_are_ordered_by_the_predictor_auc():
    rows = [r | {"ci_high": 0.1} for r in measured()]
    assert list(rank(rows)["defense"]) == ["none", "dualmd", "amg"]
    swapped = {"amg": 0.5, "dualmd": 0.9}
    rows = [
        r | {"value": swapped.get(str(r["defense"]), 0.9)} if r["metric"] == "auc" else r
        for r in rows
    ]
    assert list(rank(rows)["defense"]) == ["none", "amg", "dualmd"]


def test_copies_drawn_by_an_extraction_attack_are_not_on_the_board():
    table = rank(measured()).set_index("defense")
    assert table["copy_rate"].to_dict() == pytest.approx(COPIES)


def test_a_complete_board_says_so_and_an_unresolved_rate_is_an_answer():
    table = rank(measured()).set_index("defense")
    assert set(table["status"]) == {"complete"}
    assert np.isnan(table.loc["dualmd", "weights_tpr"])
    assert list(rank(measured()).columns) == COLUMNS


@pytest.mark.parametrize(
    ("metric", "column", "name"),
    [
        (HEADLINE["copies"], "copy_rate", "copy_rate:local-sscd"),
        ("fid:local-classifier", "fid", "fid:local-classifier"),
        ("auc", "weights_auc", "auc of secmi (weights)"),
        ("tpr@1%fpr", "predictor_tpr", "tpr@1%fpr (predictor)"),
    ],
)
def test_a_missing_measurement_leaves_a_cell_empty_and_is_named(metric, column, name):
    rows = [r for r in measured() if (r["defense"], r["metric"]) != ("amg", metric)]
    table = rank(rows).set_index("defense")
    assert np.isnan(table.loc["amg", column])
    assert table.loc["amg", "status"].startswith("missing: ")
    assert name in table.loc["amg", "status"]
    assert table.loc["none", "status"] == "complete"


def test_an_attack_that_failed_on_one_defense_is_named_though_another_gave_a_number():
    rows = [
        r | {"value": np.nan, "status": "failed"}
        if (r["defense"], r["attack"], r["sees"]) == ("none", "secmi", "weights")
        else r
        for r in measured()
    ]
    table = rank(rows).set_index("defense")
    assert table.loc["none", "weights_attack"] == "loss"
    assert "auc of secmi (weights)" in table.loc["none", "status"]


def test_an_attack_that_tells_of_one_defense_alone_is_missed_in_no_other():
    own = {"attack": "confidence", "sees": "weights", "n": 400, "ci_low": 0.9, "ci_high": 0.99}
    defenses = {**DEFENSES, "amg": {"attacks": [*ATTACKS, ("confidence", "weights")]}}
    table = rank([*measured(), row("amg", "auc", 0.95, **own)], defenses).set_index("defense")
    assert set(table["status"]) == {"complete"}
    assert table.loc["amg", "weights_attack"] == "confidence"
    assert table.loc["none", "weights_attack"] == "secmi"
    lacking = rank(measured(), defenses).set_index("defense")["status"]
    assert lacking["amg"] == "missing: auc of confidence (weights)"
    assert lacking["none"] == "complete"


COPY = "copy:local-sscd"
RANDOM = {"attack": "random", "sees": "images", "metric": COPY, "plain": COPY, "keeps": ""}
SIDE = {"attack": "side", "sees": "predictor", "metric": f"{COPY}:best", "keeps": ""}
SIDE["plain"] = f"{COPY}:best-random"
ALONE = {"attack": "ol-ti", "sees": "predictor", "metric": COPY, "plain": "", "keeps": ""}
FILTER = {**RANDOM, "attack": "generate-and-filter", "keeps": "local-sscd"}
CHOSEN = "lambda = 6, chosen on the other half; 40 of 250 pictures"


def drew(
    contender: Mapping[str, str], ams: float, ums: float, n: int, note: str = "", seed: int = 0
) -> list[dict[str, object]]:
    """The rows of what one attack drew of `none`, intervals 0.01 to either side."""
    more = {"attack": contender["attack"], "sees": contender["sees"], "n": n, "note": note}
    return [
        row("none", f"{score}:{contender['metric']}", x, ci_low=x - 0.01, ci_high=x + 0.01, **more)
        | {"seed": seed}
        for score, x in (("ams", ams), ("ums", ums))
    ]


def extracted(rows: list[dict[str, object]], *contenders: Mapping[str, str]) -> pd.Series:
    return rank([*measured(), *rows], contenders=contenders).set_index("defense").loc["none"]


def test_the_extraction_cells_show_the_highest_ams_with_its_interval_and_attack_and_strength():
    strong, weak = drew(SIDE, 0.3, 0.1, 250, CHOSEN), drew(RANDOM, 0.2, 0.05, 500, "100 of 500")
    for rows, attacks in (((strong, weak), (RANDOM, SIDE)), ((weak, strong), (SIDE, RANDOM))):
        none = extracted([*rows[0], *rows[1]], *attacks)
        assert none["extracted_ams"] == pytest.approx(0.3)
        assert none["extracted_ams_low"] == pytest.approx(0.29)
        assert none["extracted_ams_high"] == pytest.approx(0.31)
        assert none["extracted_ams_attack"] == "side, lambda = 6"
    none = extracted([*drew(SIDE, 0.1, 0.1, 250, CHOSEN), *weak], RANDOM, SIDE)
    assert (none["extracted_ams"], none["extracted_ams_attack"]) == (0.2, "random")


def test_one_strength_of_a_grid_does_not_count_beside_its_best():
    lucky = drew({**SIDE, "attack": "side.lambda=2", "metric": COPY}, 0.9, 0.9, 500)
    none = extracted([*lucky, *drew(SIDE, 0.3, 0.1, 250, CHOSEN)], SIDE)
    assert (none["extracted_ams"], none["extracted_ums"]) == (0.3, 0.1)


def test_ums_of_plain_pictures_is_compared_at_the_n_of_the_best_strength():
    side = drew(SIDE, 0.3, 0.1, 250, CHOSEN)
    beside = drew({**SIDE, "metric": SIDE["plain"]}, 0.1, 0.15, 250, "plain pictures")
    plain = drew(RANDOM, 0.2, 0.9, 500)  # impossible, so as to be seen if it were taken
    none = extracted([*side, *beside, *plain], RANDOM, SIDE, FILTER)
    assert (none["extracted_ums"], none["extracted_ums_attack"]) == (0.15, "random")
    assert none["extracted_ums_note"] == "N = 250"
    assert none["extracted_ams_attack"] == "side, lambda = 6"
    # without a grid there are as many pictures of each
    none = extracted(plain, RANDOM)
    assert (none["extracted_ums"], none["extracted_ums_note"]) == (0.9, "N = 500")
    # nobody draws plainly but the grid itself
    assert extracted([*side, *beside], SIDE)["extracted_ums_attack"] == "plain pictures"


def test_an_attack_known_at_a_larger_n_alone_counts_as_fewer_pictures_would_show_no_less():
    rows = [*drew(SIDE, 0.3, 0.1, 250, CHOSEN), *drew(ALONE, 0.2, 0.12, 500)]
    none = extracted(rows, SIDE, ALONE)
    assert (none["extracted_ums"], none["extracted_ums_attack"]) == (0.12, "ol-ti")
    assert none["extracted_ums_note"] == "N = 500"


def test_of_attacks_that_draw_alike_the_first_is_named_and_one_with_two_accesses_says_which():
    rows = [*drew(FILTER, 0.2, 0.1, 500), *drew(RANDOM, 0.2, 0.1, 500)]
    assert extracted(rows, RANDOM, FILTER)["extracted_ams_attack"] == "random"
    beside = drew({**SIDE, "metric": SIDE["plain"]}, 0.2, 0.1, 250)
    none = extracted([*rows, *beside, *drew(SIDE, 0.2, 0.1, 250, CHOSEN)], RANDOM, SIDE, FILTER)
    assert none["extracted_ams_attack"] == none["extracted_ums_attack"] == "random"
    twice = {**ALONE, "sees": "weights"}
    none = extracted([*drew(ALONE, 0.1, 0.1, 500), *drew(twice, 0.2, 0.1, 500)], ALONE, twice)
    assert none["extracted_ams_attack"] == "ol-ti on the weights"


def test_the_extraction_cells_of_several_seeds_are_means_and_name_each_strength():
    first = drew(SIDE, 0.3, 0.1, 250, CHOSEN)
    second = drew(SIDE, 0.4, 0.2, 250, CHOSEN.replace("6", "2"), seed=1)
    none = rank([*measured(), *measured(1), *first, *second], contenders=[SIDE]).iloc[0]
    assert none["extracted_ams"] == pytest.approx(0.35)
    assert none["extracted_ams_high"] == pytest.approx(0.36)
    assert none["extracted_ums_attack"] == "side, lambda = 6 / lambda = 2"


def test_a_defense_that_no_extraction_attack_was_tried_on_has_empty_cells_and_misses_nothing():
    table = rank([*measured(), *drew(RANDOM, 0.2, 0.1, 500)], contenders=[RANDOM, SIDE])
    assert list(table.columns) == COLUMNS
    table = table.set_index("defense")
    assert np.isnan(table.loc["amg", "extracted_ams"])
    assert table.loc["amg", "extracted_ums_attack"] == ""
    assert set(table["status"]) == {"complete"}
    assert list(table.index) == list(rank(measured())["defense"])  # the order stays


def test_the_strength_that_was_chosen_is_read_from_the_rows_that_a_grid_makes():
    similar = {"similarity": np.linspace(0, 1, 20), "neighbor": np.arange(20)}
    none = {"similarity": np.zeros(20), "neighbor": np.arange(20)}
    how = {"members": 20, "extractor": "local-sscd", "calibration": 0.1}
    made = family({2.5: none, 6: similar}, np.linspace(0, 0.5, 50), **how)
    rows = [
        row("none", m.metric, m.value, n=m.n, note=m.note, attack="side", sees="predictor")
        for m in made
    ]
    assert extracted(rows, SIDE)["extracted_ams_attack"] == "side, lambda = 6"


def test_the_markdown_names_the_attack_and_the_n_of_its_ums():
    rows = [*measured(), *drew(SIDE, 0.3, 0.1, 250, CHOSEN)]
    head, _, none, dualmd = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in markdown(rank(rows, contenders=[SIDE]))[5:9]
    )
    ams, ums = head.index("AMS, best attack"), head.index("UMS, best attack")
    assert none[ams] == "30.0% (29.0–31.0%) side, lambda = 6"
    assert none[ums] == "10.0% (9.0–11.0%) side, lambda = 6, N = 250"
    assert dualmd[ams] == dualmd[ums] == "—"


def test_a_defense_without_a_single_measurement_still_has_its_row():
    rows = [r for r in measured() if r["defense"] != "dualmd"]
    table = rank(rows).set_index("defense")
    assert table.index[-1] == "dualmd"
    assert table.loc["dualmd", "seeds"] == 0
    assert "copy_rate:local-sscd" in table.loc["dualmd", "status"]
    assert "—" in markdown(rank(rows))[-4]


def test_no_measurements_and_no_costs_give_an_empty_board():
    nothing = pd.DataFrame(measured()).iloc[:0]
    table = leaderboard(nothing, pd.DataFrame(), DEFENSES, HEADLINE)
    assert list(table.columns) == COLUMNS
    assert table.empty


def test_values_and_interval_ends_are_means_over_seeds_and_the_spread_stands_beside():
    table = rank(measured(0) + measured(1, shift=0.02)).set_index("defense")
    assert table.loc["amg", "seeds"] == 2
    assert table.loc["amg", "copy_rate"] == pytest.approx(0.03)
    assert table.loc["amg", "copy_rate_high"] == pytest.approx(0.05)
    assert table.loc["amg", "copy_rate_seeds_sd"] == pytest.approx(np.std([0.02, 0.04], ddof=1))
    assert table.loc["amg", "weights_auc"] == pytest.approx(0.81)
    assert table.loc["amg", "weights_auc_seeds_sd"] == pytest.approx(np.std([0.8, 0.82], ddof=1))
    assert np.isnan(rank(measured()).set_index("defense").loc["amg", "copy_rate_seeds_sd"])


def test_a_cell_lacking_in_one_seed_is_named_with_the_seed():
    second = [r for r in measured(1) if (r["defense"], r["metric"]) != ("amg", HEADLINE["quality"])]
    table = rank(measured(0) + second).set_index("defense")
    assert table.loc["amg", "status"] == "missing: fid:local-classifier in seed 1"


def test_tracks_do_not_mix():
    other = [r | {"track": "faces", "value": 0.5} for r in measured()]
    table = rank(measured() + other).set_index(["track", "defense"])
    assert table.loc[("digits", "none"), "copy_rate"] == pytest.approx(0.2)
    assert table.loc[("faces", "none"), "copy_rate"] == pytest.approx(0.5)


def test_the_markdown_is_a_readable_table_under_its_stamp_and_an_explanation():
    lines = markdown(rank(measured()))
    assert lines[0] == "**VALID**: every control came out as expected."
    assert "n = 1000 samples" in lines[2]
    assert "n = 400 audited" in lines[2]
    assert lines[3]
    assert lines[4] == ""
    table = lines[5 : 5 + 2 + len(COPIES)]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    assert {len(line) for line in cells} == {len(cells[0])}
    none, other = cells[2], cells[3]
    assert none[:4] == [
        "**none**",
        "what every defense is compared with",
        "20.0% (10.0–40.0%)",
        "—",
    ]
    assert "0.900 (0.88–0.92) secmi" in none
    assert other[:3] == ["**dualmd**", "1–2 a", "1.0% (0.5–2.0%)"]  # nothing was compared


def test_the_markdown_says_why_a_board_is_not_valid_or_not_complete():
    bad = markdown(rank(measured()), valid=False, reasons=["The blind attack sees."])
    assert bad[0].startswith("**INVALID**: ")
    assert bad[1] == "- The blind attack sees."
    part = markdown(rank(measured()), complete=False, missing=["pia of amg: failed"])
    assert part[0].startswith("**INCOMPLETE**: ")
    assert part[1] == "- pia of amg: failed"


def test_a_control_or_baseline_need_not_be_attacked_and_a_contestant_must():
    defenses = {**DEFENSES, "noise": {"role": "noise"}, "new": {"role": "contestant"}}
    drawn = [r for r in measured() if r["defense"] == "none" and not r["attack"]]
    rows = [*measured(), *({**r, "defense": name} for r in drawn for name in ("noise", "new"))]
    table = rank(rows, defenses).set_index("defense")
    assert "auc" not in table.loc["noise", "status"]
    assert "auc (weights), tpr@1%fpr (weights)" in table.loc["new", "status"]
    assert table["role"].to_dict()["none"] == "undefended"


def test_an_access_that_nobody_on_the_board_is_attacked_with_is_missed_by_none():
    seen = [(attack, sees) for attack, sees in ATTACKS if sees != "images"]
    rows = [r for r in measured() if r["sees"] != "images"]
    defenses = {name: {**entry, "attacks": seen} for name, entry in DEFENSES.items()}
    assert set(rank(rows, defenses)["status"]) == {"complete"}


def test_a_bar_in_a_name_does_not_break_the_markdown_table():
    table = rank(measured()).assign(status="odd | one\nline")
    assert any("odd \\| one line" in line for line in markdown(table))
