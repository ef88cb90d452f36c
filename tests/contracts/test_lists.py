"""Specs that are told item by item: cut to what is there, and joined from several machines."""

from typing import Any

import pytest

from leakboard.errors import UserError
from leakboard.lists import cut, join

LISTS = {"scores": ("scores",), "samples": ("samples", "tables"), "attacks": (), "cells": ()}


def spec(*scores: str, **more: Any) -> dict[str, Any]:
    """A spec of some scores, one cell each."""
    return {"stage": "toy", "scores": list(scores), "cells": [{"of": s} for s in scores], **more}


def files(*scores: str) -> dict[str, list[Any]]:
    """Their files, and one that goes along with none of them."""
    return {"scores": [f"{score}.parquet" for score in scores], "split": ["split.csv"]}


def test_a_spec_is_cut_to_the_items_whose_files_are_kept() -> None:
    left, kept, lost = cut(LISTS, spec("a", "b", "c"), files("a", "b", "c"), lambda i, _: i != "b")
    assert (left["scores"], lost) == (["a", "c"], ["b"])
    assert kept == files("a", "c")
    assert len(left["cells"]) == 3  # which cells need the item is not its business


def test_an_item_may_go_along_with_several_files_each() -> None:
    given = {"samples": ["a0", "a1", "b0", "b1"], "tables": ["a", "b"]}
    _, kept, lost = cut(LISTS, {"samples": ["a", "b"]}, given, lambda _, f: "a1" not in f)
    assert kept == {"samples": ["b0", "b1"], "tables": ["b"]}
    assert lost == ["a"]
    with pytest.raises(ValueError, match="3 files of samples for 2 of samples"):
        cut(LISTS, {"samples": ["a", "b"]}, {**given, "samples": ["a", "b", "c"]}, lambda *_: True)


def test_joined_lists_hold_each_item_once_with_its_files() -> None:
    one, two = spec("a", "b"), spec("b", "c")
    both, paths = join(LISTS, [one, two], [files("a", "b"), files("b", "c")], ["here", "there"])
    assert both == spec("a", "b", "c")
    assert paths == files("a", "b", "c")


def test_dictionaries_are_joined_by_their_keys_however_deep() -> None:
    one = {"defenses": {"none": {"paper": "", "attacks": [["loss", "weights"]]}}}
    two = {
        "defenses": {
            "none": {"paper": "", "attacks": [["pia", "weights"], ["loss", "weights"]]},
            "amg": {"paper": "AMG", "attacks": []},
        }
    }
    both, _ = join(LISTS, [one, two], [{}, {}], ["here", "there"])
    assert both["defenses"] == {
        "none": {"paper": "", "attacks": [["loss", "weights"], ["pia", "weights"]]},
        "amg": {"paper": "AMG", "attacks": []},
    }
    assert list(both["defenses"]) == ["none", "amg"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"calibration": 0.2}, "calibration: 0.1 in here, 0.2 in there"),
        ({"headline": {"copies": "y"}}, "headline.copies: 'x' in here, 'y' in there"),
        ({"trainings": ["b"]}, r"trainings: \['a'\] in here, \['b'\] in there"),
    ],
)
def test_another_setting_of_one_key_is_refused_by_name(other: dict[str, Any], said: str) -> None:
    one = {"calibration": 0.1, "headline": {"copies": "x"}, "trainings": ["a"]}
    assert join(LISTS, [one, one], [{}, {}], ["here", "there"])[0] == one
    with pytest.raises(UserError, match=said):
        join(LISTS, [one, {**one, **other}], [{}, {}], ["here", "there"])


def test_an_item_with_other_files_is_refused() -> None:
    moved = {**files("a"), "scores": ["elsewhere.parquet"]}
    with pytest.raises(UserError, match="scores: a has other files in here than in there"):
        join(LISTS, [spec("a"), spec("a")], [files("a"), moved], ["here", "there"])


def test_lists_whose_items_have_more_files_in_one_place_than_in_another_are_not_joined() -> None:
    lists = {"defenses": ("samples",)}
    specs = [{"defenses": ["none"]}, {"defenses": ["amg"]}]
    files = [{"samples": ["a"]}, {"samples": ["b", "c"]}]
    with pytest.raises(UserError, match=r"samples: 1 and 2 files .* in x and y; .* same `shards`"):
        join(lists, specs, files, ["x", "y"])
