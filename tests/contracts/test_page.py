"""The page is one safe, self-contained file, and its figures are pictures."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leakboard.measures.ranking import COLUMNS, SHOWN
from leakboard.report import figures
from leakboard.report.page import Board, render

FIELDS = [
    *("track", "seed", "defense", "sampler", "attack", "sees", "metric", "value", "ci_low"),
    *("ci_high", "n", "unit", "better", "reported", "digest", "status", "note"),
]
TRAININGS = [
    *("network", "seed", "trainer", "data", "init", "teachers", "images", "steps", "epochs"),
    *("seconds", "peak_memory_mb", "device"),
]
EVIL = "<script>alert('leak')</script>"


class Page(HTMLParser):
    """Every tag with its attributes, and the text of every title attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def board(note: str = EVIL) -> Board:
    table = pd.DataFrame(
        [
            {"track": "digits", "defense": "none", "copy_rate": 0.312, "copy_rate_low": 0.28}
            | {"copy_rate_high": 0.34, "weights_auc": 0.973, "weights_auc_low": 0.951}
            | {"weights_auc_high": 0.99, "weights_attack": "secmi", "weights_note": "max over a"}
            | {"status": "complete"},
            {"defense": "amg<b>", "status": "missing: fid", "caveat": note, "paper": "https://x"},
        ]
    ).reindex(columns=COLUMNS)
    rows = [
        {"defense": "none", "attack": "secmi", "sees": "weights", "metric": "auc", "value": 0.973},
        {"defense": "amg<b>", "attack": "secmi", "sees": "weights", "metric": "auc"}
        | {"status": "skipped", "note": "no gradient"},
        {"defense": "none", "attack": "secmi", "sees": "weights", "metric": "tpr@1%fpr"}
        | {"status": "unresolved", "note": "too few strangers"},
        {"metric": "self_similarity:pixels", "value": 1.0, "note": note, "seed": 0},
    ]
    pixel = figures.preview(np.zeros((1, 8, 8, 1), dtype=np.uint8))
    measurements = pd.DataFrame(rows).reindex(columns=FIELDS)
    lesson = {"trainer": "distill", "data": "members", "teachers": EVIL, "images": 50}
    done = {"network": "half-a", "seed": 0, "steps": 8, "epochs": 12.8, "seconds": 150.0}
    trainings = pd.DataFrame([lesson | done]).reindex(columns=TRAININGS)
    return Board("digits", "Does it leak?", table, measurements, trainings, {"samples": pixel})


@pytest.fixture(scope="module")
def text() -> str:
    return render([board()])


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_asks_no_host_for_anything(page: Page):
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            link = attrs.get(name) or "#"
            assert link.startswith(("#", "data:")), (tag, link)
    assert page.all("img")
    assert not page.all("base")
    assert not page.all("iframe")


def test_style_and_script_import_nothing(text: str):
    assert "@import" not in text
    assert "url(" not in text
    assert "fetch(" not in text
    assert "XMLHttpRequest" not in text


def test_a_content_security_policy_forbids_everything_but_the_page_itself(page: Page):
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv")]
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )


def test_a_script_in_the_data_is_escaped(text: str, page: Page):
    assert EVIL not in text
    assert "&lt;script&gt;alert" in text
    assert len(page.all("script")) == 1
    assert "amg<b>" not in text


def test_a_quote_in_the_data_does_not_leave_its_attribute():
    hostile = render([board(note='" onmouseover="alert(1)')])
    assert all("onmouseover" not in attrs for _, attrs in Page(hostile).tags)


def test_a_missing_cell_is_a_dash_that_tells_its_reason(text: str, page: Page):
    assert not re.search(r"\b(nan|NaN|None|NaT)\b", text.partition("<script>")[0])
    reasons = {attrs.get("title") for tag, attrs in page.tags if attrs.get("class") == "missing"}
    assert {"not measured", "skipped: no gradient", "unresolved: too few strangers"} <= reasons
    assert "—</span>" in text


def test_a_number_stands_with_its_interval_and_the_attack_that_gave_it(text: str):
    for shown in ("31.2%", "28.0–34.0%", "0.973", "0.95–0.99", "secmi", "max over a"):
        assert shown in text


def test_a_training_stands_with_its_steps_and_epochs(text: str):
    table = text.partition('class="trainings"')[2].partition("</table>")[0]
    for shown in ("half-a", "distill on members", "50", "8", "12.8", "2.5 min", "&lt;script&gt;"):
        assert shown in table
    assert "not measured" in table  # its memory


def test_tables_are_named_and_headed_and_pictures_described(text: str, page: Page):
    assert text.count("<caption>") == len(page.all("table")) == 6
    assert all(head.get("scope") or head.get("class") == "group" for head in page.all("th"))
    assert all("digits" in (image["alt"] or "") for image in page.all("img"))
    assert page.all("html")[0]["lang"] == "en"


def test_every_sortable_column_points_at_a_cell_that_exists(text: str, page: Page):
    columns = [int(head["data-column"] or 0) for head in page.all("th") if "data-column" in head]
    assert max(columns) == len(SHOWN) == 16
    assert columns.count(0) == 6


def test_rendering_twice_gives_the_same_page(text: str):
    assert render([board()]) == text


def test_a_page_without_boards_or_numbers_still_renders():
    columns = (COLUMNS, FIELDS, TRAININGS)
    empty = Board("bare", "?", *(pd.DataFrame(columns=names) for names in columns))
    assert "bare" in render([empty])
    assert "<main>" in render([])


RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (70, 8, 8, 1), dtype=np.uint8)
RGB = RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
FLAT = np.full((3, 16, 16, 3), 127, dtype=np.uint8)
RATES = np.linspace(0, 1, 50)
FIGURES = {
    "roc": lambda: figures.roc(
        {
            n: {"none (0.8)": (RATES, RATES**0.3), "amg": (RATES, RATES)}
            for n in ("loss", "pia", "side")
        }
    ),
    "roc of nothing": lambda: figures.roc({}),
    "similarity": lambda: figures.similarity_histogram(
        {"none": RNG.random(200), "amg": np.full(5, 0.5)}, RNG.random(50), 0.9, "pixels"
    ),
    "constant similarity": lambda: figures.similarity_histogram(
        {"none": np.ones(4)}, np.ones(4), 1.0, "pixels"
    ),
    "neighbors": lambda: figures.neighbor_pairs(
        {
            "none": (GRAY[:20], GRAY[20:40], RNG.random(20)),
            "amg": (FLAT, FLAT, np.ones(3)),
            "all": (RGB, RGB, np.linspace(0, 1, 12)),
        }
    ),
    "samples": lambda: figures.sample_grids(
        {"none": GRAY, "amg": RGB, "flat": FLAT, "empty": GRAY[:0]}
    ),
    "loss": lambda: figures.loss_curves({"base": (np.arange(9), np.exp(-np.arange(9.0)))}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_png_wide_enough_to_read(name: str):
    with Image.open(BytesIO(FIGURES[name]())) as image:
        assert image.format == "PNG"
        assert image.width == 1200
        assert 250 <= image.height <= 3000
        assert "Software" not in image.info
        assert image.convert("L").getextrema()[0] < 128  # something was drawn


def test_the_same_arrays_give_the_same_picture():
    for draw in (FIGURES["neighbors"], FIGURES["roc"]):
        state = RNG.bit_generator.state
        first = draw()
        RNG.bit_generator.state = state
        assert draw() == first


@pytest.mark.parametrize(("images", "size"), [(GRAY, (440, 308)), (RGB, (700, 140))])
def test_a_preview_enlarges_without_smoothing_and_keeps_every_pixel(images, size):
    with Image.open(BytesIO(figures.preview(images))) as image:
        assert image.size == size
        assert image.mode == "RGB"
        pixels = np.asarray(image)
    factor = 40 // images.shape[1] + (40 % images.shape[1] > 0)
    side = images.shape[1]
    first = pixels[: factor * side : factor, : factor * side : factor]
    assert np.array_equal(first, np.broadcast_to(images[0], (side, side, 3)))


def test_a_preview_shows_a_hundred_images_at_most():
    many = np.zeros((500, 40, 40, 3), dtype=np.uint8)
    with Image.open(BytesIO(figures.preview(many))) as image:
        assert image.size == (440, 440)


def test_the_page_says_in_a_sentence_what_a_blind_attack_found():
    seen = board()
    row = {"attack": "blind", "sees": "nothing", "metric": "auc", "value": 0.49}
    ends = {"ci_low": 0.42, "ci_high": 0.57}
    rows = pd.concat([seen.measurements, pd.DataFrame([{**row, **ends}])], ignore_index=True)
    text = render([replace(seen, measurements=rows)])
    assert "reaches an AUC of 0.490 (0.42–0.57): members and strangers look alike" in text
    assert "A blind attack, which sees no model" not in render([seen])
