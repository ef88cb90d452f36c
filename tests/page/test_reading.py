"""What a reader does with the page, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest

from boards import board
from leakboard.measures.shown import FORMATS
from leakboard.report.page import Board, render

BOARD = '[data-name="board"]'
HEAT = '[data-name="weights"]'


@pytest.fixture(scope="module")
def digits() -> Board:
    return board(defenses=12, attacks=9)


@pytest.fixture(scope="module")
def html(digits: Board) -> str:
    return render([digits, board("faces", defenses=7, attacks=6, seed=3)])


def head(opened: Any, region: str, title: str) -> Any:
    """The head of a column."""
    return opened.page.locator(f"{region} .tabulator-col[role=columnheader]", has_text=title).last


def rows(opened: Any, region: str = BOARD) -> list[str]:
    """The names of the rows shown, in their order."""
    return opened.page.locator(f"#track-1 {region} .tabulator-row .name").evaluate_all(
        "all => all.map(one => one.firstChild.data)"
    )


def parameters(opened: Any) -> dict[str, str]:
    """What the address says."""
    return opened.page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")


def test_the_page_opens_without_a_word_a_request_or_a_violation(visit: Any, html: str):
    opened = visit(html)
    opened.everything()
    assert opened.page.locator("#track-1 .chart svg").count() == 5
    assert opened.wrong() == []


def test_a_click_on_a_head_sorts_and_missing_numbers_come_last(
    visit: Any, html: str, digits: Board
):
    opened = visit(html)
    column = head(opened, f"#track-1 {BOARD}", "Rank")
    column.click()
    assert column.get_attribute("aria-sort") == "ascending"
    order = digits.table.sort_values("rank_low", kind="stable", na_position="last")
    ranked = int(digits.table["rank_low"].notna().sum())
    assert rows(opened)[:ranked] == order["defense"].tolist()[:ranked]
    column.click()
    backwards = digits.table.sort_values("rank_low", ascending=False, na_position="last")
    assert rows(opened)[0] == backwards["defense"].iloc[0]
    assert set(rows(opened)[:ranked]) == set(order["defense"].tolist()[:ranked])
    assert parameters(opened)["sort"] == "rank:desc"


def test_search_and_filters_above_columns_leave_the_rows_that_pass(
    visit: Any, html: str, digits: Board
):
    opened = visit(html)
    tools = opened.page.locator("#track-1 [data-for=board]")
    tools.locator("[data-search]").fill("ruined")
    assert rows(opened) == ["kd"]
    assert tools.locator("output").inner_text() == "1 of 12"
    tools.locator("[data-search]").fill("")
    tools.locator("[data-filters]").click()
    place = head(opened, f"#track-1 {BOARD}", "Copy rate").locator("input")
    place.press_sequentially("< 15%")
    few = digits.table.loc[digits.table["copy_rate"] < 0.15, "defense"]
    shown = f"document.querySelectorAll('#track-1 {BOARD} .tabulator-row').length"
    opened.until(f"{shown} === {len(few)}")
    assert sorted(rows(opened)) == sorted(few)
    assert json.loads(parameters(opened)["f"]) == [["copy_rate", "< 15%"]]


def cell(opened: Any, region: str, defense: str, place: int = 0) -> Any:
    """A cell that opens: the one of this defense in the column at this place."""
    opened.see(region)
    row = opened.page.locator(f"{region} .tabulator-row", has=opened.page.get_by_text(defense))
    return row.locator(".tabulator-cell").nth(place + 1).locator("button")


@pytest.mark.parametrize("how", ["click", "Enter"])
def test_a_cell_opens_on_everything_behind_its_number(
    visit: Any, html: str, digits: Board, how: str
):
    opened = visit(html)
    found = cell(opened, f"#track-1 {HEAT}", "cpsample")
    attack = opened.page.locator(f"#track-1 {HEAT} .tabulator-col").nth(1).inner_text().strip()
    found.focus()
    found.press("Enter") if how == "Enter" else found.click()
    drawer = opened.page.locator("dialog[open]")
    drawer.get_by_text("To make it anew").wait_for()
    assert drawer.locator("h2").inner_text() == f"{attack} on the weights: cpsample"
    table = digits.measurements
    mine = table[
        (table["defense"] == "cpsample")
        & (table["attack"] == attack)
        & (table["sees"] == "weights")
    ]
    shown = drawer.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert [(line[1], float(line[2])) for line in shown] == [
        (metric, float(f"{value:.6g}")) for metric, value in mine[["metric", "value"]].to_numpy()
    ]
    text = drawer.inner_text()
    path = f"results/digits/measurements/membership/{attack}/weights/seed0.json"
    for said in (
        f"leakboard run {path} --force",
        f"results/logs/membership/digits/{attack}/weights/seed0.log",
        f"results/digits/scores/{attack}/weights/cpsample/seed0.parquet sha256 ",
        mine["digest"].iloc[0],
        '"denoisers"',
        '"draws": 5',
    ):
        assert said in text
    assert "scores/" + f"{attack}/weights/none" not in text  # another defense's
    opened.page.keyboard.press("Escape")
    assert not opened.page.locator("dialog[open]").count()
    assert found.evaluate("node => node === document.activeElement")
    assert "cell" not in parameters(opened)
    assert opened.wrong() == []


def test_a_number_of_the_ranked_table_opens_on_what_it_was_measured_from(
    visit: Any, html: str, digits: Board
):
    opened = visit(html)
    button = opened.page.locator(f"#track-1 {BOARD} .tabulator-row").nth(1).locator("button.cell")
    button.first.click()
    drawer = opened.page.locator("dialog[open]")
    drawer.get_by_text("To make it anew").wait_for()
    row = digits.table.iloc[1]
    assert drawer.locator(".headline").inner_text().startswith(FORMATS["rate"](row["copy_rate"]))
    assert "copy_rate:local-sscd" in drawer.inner_text()
    assert "copying/local-sscd/plain/seed0.json --force" in drawer.inner_text()
    paths = drawer.locator("dd code").all_inner_texts()
    tables = [path for path in paths if "/similarity/" in path]
    assert [f"/{row['defense']}/" in path for path in tables] == [True]  # its own alone


def test_two_defenses_are_compared_as_the_tests_say(visit: Any, html: str, digits: Board):
    opened = visit(html)
    part = opened.see("#track-1-compare")
    names = digits.table.loc[digits.table["unranked"] == "", "defense"].tolist()
    first, last = names[-1], names[0]
    part.locator("select[data-option=a]").select_option(first)
    part.locator("select[data-option=b]").select_option(last)
    part.get_by_role("region", name=f"{first} against {last}").wait_for()
    lines = part.locator("[data-compared] tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    pairs = digits.comparisons.set_index(["column", "a", "b"])
    swapped = ("copy_rate", first, last) not in pairs.index
    row = pairs.loc[("copy_rate", last, first) if swapped else ("copy_rate", first, last)]
    sign = -1 if swapped else 1
    _, words, a, b, difference, p, holm = lines[0]
    table = digits.table.set_index("defense")["copy_rate"]
    assert (a, b) == (FORMATS["rate"](table[first]), FORMATS["rate"](table[last]))
    shown = difference.replace("−", "-")
    assert shown.startswith(f"{100 * sign * row['difference']:+.1f}")
    assert (p, holm) == (FORMATS["p"](row["p"]), FORMATS["p"](row["p_holm"]))
    lower = (row["verdict"] == "lower") != swapped
    leaks = f"{first} leaks {'less' if lower else 'more'}"
    assert words.startswith("cannot be told apart" if row["verdict"] == "tied" else leaks)
    part.locator("[data-swap]").click()
    part.get_by_role("region", name=f"{last} against {first}").wait_for()
    assert (parameters(opened)["a"], parameters(opened)["b"]) == (last, first)
    assert part.locator(".chart svg").count() == 2
    assert opened.wrong() == []


def download(opened: Any, press: Callable[[], object]) -> tuple[str, str]:
    """Name and text of the file that a press downloads."""
    with opened.page.expect_download() as waiting:
        press()
    with open(waiting.value.path(), encoding="utf-8", errors="replace") as file:
        return waiting.value.suggested_filename, file.read()


def test_the_ranked_table_downloads_in_four_formats_with_all_digits(
    visit: Any, html: str, digits: Board
):
    opened = visit(html)
    bar = opened.page.locator("#track-1 [data-for=board]")

    def get(kind: str) -> str:
        name, text = download(opened, bar.locator(f"[data-download={kind}]").click)
        assert name == f"digits-leaderboard.{kind}"
        return text

    csv = pd.read_csv(StringIO(get("csv")))
    table = digits.table
    assert csv["Defense"].tolist() == table["defense"].tolist()
    for key in ("copy_rate", "copy_rate_low", "weights_auc", "weights_auc_high", "fid", "kid"):
        assert csv[key].tolist() == table[key].tolist(), key
    rows = json.loads(get("json"))
    assert [row["copy_rate"] for row in rows] == table["copy_rate"].tolist()
    tex, markdown = get("tex"), get("md")
    rate = FORMATS["rate"](table["copy_rate"].iloc[1])
    assert rate.replace("%", "\\%") in tex
    assert tex.count("\\\\\n") == len(table) + 1
    assert "\\toprule" in tex
    assert "$^{\\text{a" in tex
    assert f"**{table['defense'].iloc[1]}**" in markdown
    assert rate in markdown
    assert len(markdown.splitlines()) == len(table) + 2
    bar.locator("[data-search]").fill("cpsample")
    assert len(pd.read_csv(StringIO(get("csv")))) == 1
    assert opened.wrong() == []


def test_charts_are_saved_as_pictures(visit: Any, html: str):
    opened = visit(html)
    part = opened.see("#track-1-tradeoff")
    part.locator("svg").wait_for()
    name, text = download(opened, part.locator("[data-save=svg]").click)
    assert name == "digits-tradeoff.svg"
    assert text.startswith("<svg")
    assert "cpsample" in text
    _, text = download(opened, part.locator("[data-save=png]").click)
    assert text[1:4] == "PNG"
    assert opened.wrong() == []


def test_a_link_shows_what_its_sender_saw(visit: Any, html: str):
    cell = json.dumps(["none", "|", "copy_rate"])
    show = json.dumps(["kd", "none"])
    hash_ = (
        f"#track=faces&sort=fid:desc&cols=all&q=n&theme=dark&cell={quote(cell)}"
        f"&y=images_auc&a=none&b=cpsample&show={quote(show)}"
    )
    opened = visit(html, hash_)
    page = opened.page
    assert page.locator("#track-2").is_visible()
    assert not page.locator("#track-1").is_visible()
    assert page.locator(".tracks [aria-current]").inner_text().startswith("faces")
    assert "none" in page.locator("dialog[open] h2").inner_text()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.locator(f"#track-2 {BOARD} [aria-sort=descending]").inner_text().startswith("FID")
    assert page.locator("#track-2 [data-columns=all]").get_attribute("aria-pressed") == "true"
    assert page.locator("#track-2 [data-search]").first.input_value() == "n"
    page.keyboard.press("Escape")
    for option, value in {"y": "images_auc", "a": "none", "b": "cpsample"}.items():
        assert page.locator(f"#track-2 select[data-option={option}]").input_value() == value
    assert page.locator("#track-2 fieldset[data-option=show] :checked").count() >= 1
    assert opened.wrong() == []


def test_tracks_are_tabs_and_every_track_is_built_when_it_is_opened(visit: Any, html: str):
    opened = visit(html)
    assert opened.page.locator(f"#track-2 {BOARD} .tabulator").count() == 0
    opened.page.locator(".tracks a", has_text="faces").click()
    opened.page.locator(f"#track-2 {BOARD} .tabulator").wait_for()
    assert not opened.page.locator("#track-1").is_visible()
    assert parameters(opened)["track"] == "faces"
    assert opened.wrong() == []


def test_every_number_can_be_searched_and_saved_with_all_digits(
    visit: Any, html: str, digits: Board
):
    opened = visit(html)
    details = opened.see("#track-1 [data-numbers]")
    details.locator("summary").click()
    details.locator(".tabulator-row").first.wait_for()
    details.locator("[data-search]").fill("cpsample auc weights")
    table = digits.measurements
    mine = table[
        (table["defense"] == "cpsample") & (table["metric"] == "auc") & (table["sees"] == "weights")
    ]
    said = "document.querySelector('[data-numbers] output').textContent"
    opened.until(f"{said}.startsWith('{len(mine)} of ')")
    _, text = download(opened, details.locator("[data-download=csv]").click)
    found = pd.read_csv(StringIO(text))
    for key in ("value", "ci_low", "ci_high"):
        assert found[key].tolist() == mine[key].tolist()
    assert found["digest"].tolist() == mine["digest"].tolist()
