"""How the page shows itself: on a phone, in the dark, to a keyboard, without scripts, to foes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from boards import board
from leakboard.report.page import Board, render

EVIL = [
    "none",
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "a\"b'c & d",
    "=1+cmd|' /C calc'!A0",
    "$\\frac{1}{0}$ \\input{x} 100%",
    "x|y_z*`code`",
    "{{ 7 * 7 }} ${8 * 8}",
    "copy-machine",
    "noise",
]
FOES = [
    ("<b onmouseover=alert(3)>pia</b>", "weights"),
    ("=HYPERLINK(1)", "weights"),
    ("datum.x|", "predictor"),
    ("a.b[c]", "images"),
]


@pytest.fixture(scope="module")
def html() -> str:
    return render([board(defenses=12, attacks=20), board("faces", 7, 6, 3)])


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(visit: Any, html: str, scripts: bool, colors: str):
    phone = {"viewport": {"width": 380, "height": 780}, "has_touch": True}
    opened = visit(html, java_script_enabled=scripts, color_scheme=colors, **phone)
    if scripts:
        opened.everything()
        opened.page.locator("#track-1 [data-columns=all]").click()
        for details in opened.page.locator("#track-1 details").all():
            details.evaluate("node => { node.open = true; }")
        opened.page.wait_for_timeout(400)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 380


def test_dark_follows_the_system_and_the_button_overrules_it(visit: Any, html: str):
    opened = visit(html, color_scheme="dark")
    page = opened.page

    def paper() -> int:
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color)[:3]))

    assert paper() < 150
    part = opened.see("#track-1-tradeoff")
    part.locator("svg").wait_for()
    dark = part.locator("svg").first.inner_html()
    page.locator("[data-theme=light]").click()
    assert paper() > 700
    assert "theme=light" in page.url
    assert part.locator("svg").first.inner_html() != dark
    assert page.locator("button[data-theme=light]").get_attribute("aria-pressed") == "true"
    assert opened.wrong() == []


def test_a_keyboard_reaches_the_tables_and_arrows_move_in_them(visit: Any, html: str):
    opened = visit(html)
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the boards"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.cell')"):
            break
    text = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.matches('.cell')")
    assert page.evaluate("document.activeElement.textContent") != text
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.cell')")
    sortable = page.locator('[data-name="board"] [role=columnheader]', has_text="FID").last
    sortable.locator("button").focus()
    page.keyboard.press("Enter")
    assert sortable.get_attribute("aria-sort") == "ascending"
    assert opened.wrong() == []


def test_everything_that_can_be_pressed_or_filled_has_a_name(visit: Any, html: str):
    opened = visit(html)
    opened.everything()
    nameless = opened.page.evaluate(
        """[...document.querySelectorAll('.open button, .open select, .open input, .open summary')]
        .filter(node => !(node.textContent.trim() || node.ariaLabel || node.title
          || node.placeholder || node.labels?.length || node.closest('.tabulator-header-filter')))
        .map(node => node.outerHTML)"""
    )
    assert nameless == []
    assert (
        opened.page.locator(".open .chart:not([aria-label][role=graphics-document])").count() == 0
    )
    assert opened.page.locator("img:not([alt])").count() == 0
    for region in opened.page.locator(".open [role=region]").all():
        assert region.get_attribute("aria-label")


def test_without_scripts_every_track_and_number_can_be_read(visit: Any, html: str):
    page = visit(html, java_script_enabled=False).page
    for number in (1, 2):
        track = page.locator(f"#track-{number}")
        assert track.is_visible()
        assert track.locator(".stamp").is_visible()
        assert track.locator("table.board tbody tr").last.is_visible()
        assert track.locator("table.heat").count() == 3
        assert track.locator(".gallery img").first.is_visible()
    visible = page.locator("button, select, input").evaluate_all(
        "all => all.filter(one => one.checkVisibility()).length"
    )
    assert visible == 0
    assert "%" in page.locator("#track-1 table.board tbody td").nth(1).inner_text()


def test_a_hostile_name_is_only_a_name(visit: Any):
    foe = board(defenses=len(EVIL), attacks=4, called=EVIL, tried=FOES, about=EVIL[1])
    foe = replace(
        foe,
        verdict={**foe.verdict, "valid": False, "reasons": [EVIL[2]], "warnings": [EVIL[1]]},
        measurements=foe.measurements.assign(note=EVIL[2]),
    )
    html = render([foe, replace(foe, track=EVIL[1]), replace(foe, track='"><svg onload=alert(4)>')])
    assert not any(
        name in html for name in [*EVIL[1:3], *(name for name, _ in FOES if "<" in name)]
    )
    opened = visit(html)
    page = opened.page
    page.locator("#track-1 [data-columns=all]").click()
    for details in page.locator("#track-1 details").all():
        details.evaluate("node => { node.open = true; }")
    opened.everything()
    shown = page.locator('#track-1 [data-name="board"] .name').evaluate_all(
        "all => all.map(one => one.firstChild.data)"
    )
    assert set(shown) == set(EVIL)
    heads = page.locator('#track-1 [data-name="weights"] .tabulator-col-title').all_inner_texts()
    assert "<b onmouseover=alert(3)>pia</b>" in heads
    for name in EVIL[1:4]:
        for option in ("a", "b"):
            page.locator(f"#track-1 select[data-option={option}]").select_option(name)
    page.locator("#track-1 select[data-option=attack]").select_option(index=0)
    assert EVIL[3] in page.locator("#track-1-compare svg").first.text_content()
    page.locator('#track-1 [data-name="weights"] button.cell').first.click()
    page.locator("dialog[open] h2").wait_for()
    page.locator("dialog[open]").get_by_text("To make it anew").wait_for()
    page.keyboard.press("Escape")
    texts = {}
    for kind in ("csv", "tex", "md"):
        with page.expect_download() as waiting:
            page.locator(f"#track-1 [data-for=board] [data-download={kind}]").click()
        texts[kind] = waiting.value.path().read_text(encoding="utf-8")
    assert "\"'=1+cmd" in texts["csv"]
    assert '"=1+cmd' not in texts["csv"]
    assert "\\input{x}" not in texts["tex"]
    assert "\\textbackslash{}input\\{x\\} 100\\%" in texts["tex"]
    assert "<script>" not in texts["md"]
    assert "x\\|y\\_z\\*" in texts["md"]
    page.locator(".tracks a").nth(1).click()
    page.locator("#track-2 .tabulator").first.wait_for()
    assert page.evaluate("document.querySelectorAll('svg[onload], img[onerror]').length") == 0
    assert opened.wrong() == []


def stamped(board_: Board, **verdict: Any) -> Board:
    return replace(board_, verdict={**board_.verdict, **verdict})


def test_an_invalid_board_says_so_first_and_loudly_and_a_valid_one_quietly(visit: Any):
    sound = board(defenses=8, attacks=4)
    reason = "loss on the weights of never-saw-members reaches an AUC of 0.731."
    boards = [
        stamped(sound, valid=False, reasons=[reason]),
        replace(stamped(sound, complete=False, missing=["kd: no FID"]), track="half"),
        replace(sound, track="sound"),
    ]
    page = visit(boards).page
    sizes = {}
    for place, (kind, word) in enumerate(
        (("invalid", "Invalid"), ("incomplete", "Incomplete"), ("valid", "Valid")), start=1
    ):
        page.locator(".tracks a").nth(place - 1).click()
        stamp = page.locator(f"#track-{place} .stamp")
        assert stamp.get_attribute("aria-label") == word
        assert stamp.bounding_box()["y"] < 500
        sizes[kind] = stamp.locator(".verdict b").evaluate(
            "node => parseFloat(getComputedStyle(node).fontSize)"
        )
    assert sizes["invalid"] > 1.8 * sizes["valid"]
    assert reason in page.locator("#track-1 .stamp").text_content()
    assert "kd: no FID" in page.locator("#track-2 .stamp").text_content()
    assert page.locator("#track-1 .finding").text_content().count(".") <= 4
    assert "may each be the best" not in page.locator("#track-1").text_content()
    assert page.locator(".tracks .dot.invalid").inner_text() == "Invalid"


def test_without_a_gallery_no_picture_is_on_the_page(visit: Any):
    private = replace(board(shown=0), figures={"samples": b"member", "neighbors": b"member"})
    page = visit([private]).page
    assert page.locator("img").count() == 0
    assert page.locator("#track-1-gallery").count() == 0


def test_the_page_works_inside_another_page(visit: Any, html: str):
    outer = visit("<!doctype html><title>a report</title>" + "x" * 10, java_script_enabled=False)
    outer.page.context.close()
    opened = visit(html)
    page = opened.page.context.browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.set_content(
        "<iframe id=inner sandbox='allow-scripts allow-downloads' width=1200></iframe>"
    )
    page.evaluate("text => { document.querySelector('iframe').srcdoc = text; }", html)
    frame = page.frame_locator("iframe")
    frame.locator('#track-1 [data-name="board"] .tabulator-row').first.wait_for(timeout=30_000)
    frame.locator(".tracks a", has_text="faces").click()
    frame.locator('#track-2 [data-name="board"] .tabulator-row').first.wait_for(timeout=30_000)
    assert said == []
    page.close()
