"""The page is one safe, self-contained file, and its figures are pictures."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leakboard.measures.ranking import COLUMNS, SHOWN
from leakboard.report import figures
from leakboard.report.page import Board, render
from leakboard.report.pictures import strengths

FIELDS = [
    *("track", "seed", "defense", "sampler", "attack", "sees", "metric", "value", "ci_low"),
    *("ci_high", "n", "unit", "better", "reported", "digest", "status", "note"),
]
TRAININGS = [
    *("network", "seed", "trainer", "data", "init", "teachers", "images", "steps", "epochs"),
    *("seconds", "peak_memory_mb", "device"),
]
EVIL = "<script>alert('leak')</script>"


COPY = "copy:local-sscd"
CONTENDERS = (
    {"attack": "random", "sees": "images", "metric": COPY, "plain": COPY, "keeps": ""},
    {"attack": "side", "sees": "predictor", "metric": f"{COPY}:best", "keeps": ""}
    | {"plain": f"{COPY}:best-random"},
    {"attack": "filter", "sees": "images", "metric": COPY, "plain": COPY, "keeps": "local-sscd"},
)


def drawn(defense: str) -> list[dict[str, object]]:
    """What extraction attacks measured of a defense."""
    best, side = f"{COPY}:best", {"attack": "side", "sees": "predictor", "n": 250}
    note = "lambda = 6, chosen on the other half; 93 of 250 pictures"
    ends = {"ci_low": 0.312, "ci_high": 0.435}
    some = {"attack": "random", "sees": "images", "n": 500}
    kept = {"attack": "filter", "sees": "images"}
    rows: list[dict[str, object]] = [
        {"metric": f"ams:{COPY}", "value": 0.16, **some},
        {"metric": f"ums:{COPY}", "value": 0.11, **some},
        {"metric": f"ams:{best}", "value": 0.372, "note": note, **ends, **side},
        {"metric": f"ums:{best}", "value": 0.128, "note": note, **side},
        {"metric": f"ams:{best}-random", "value": 0.168, **side},
        {"metric": f"ums:{best}-random", "value": 0.141, **side},
        {"metric": f"ams_vs_random_p:{best}", "value": 0.00001, **side, "n": 500},
        {"metric": f"ums_vs_random_p:{best}", "value": 0.747, **side, "n": 500},
        {"metric": "extracted:local-sscd", "value": 0.016, "n": 500, **kept},
        {"metric": "precision:local-sscd", "n": 0, "status": "unresolved", **kept}
        | {"note": "nothing was kept"},
    ]
    return [{"defense": defense, **row} for row in rows]


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
            | {"extracted_ams": 0.372, "extracted_ams_low": 0.312, "extracted_ams_high": 0.435}
            | {"extracted_ams_attack": "side, lambda = 6", "extracted_ums": 0.14}
            | {"extracted_ums_attack": EVIL, "extracted_ums_note": "N = 250"}
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
        *drawn("none"),
        {"metric": "self_similarity:pixels", "value": 1.0, "note": note, "seed": 0},
    ]
    pixel = figures.preview(np.zeros((1, 8, 8, 1), dtype=np.uint8))
    measurements = pd.DataFrame(rows).reindex(columns=FIELDS)
    lesson = {"trainer": "distill", "data": "members", "teachers": EVIL, "images": 50}
    done = {"network": "half-a", "seed": 0, "steps": 8, "epochs": 12.8, "seconds": 150.0}
    trainings = pd.DataFrame([lesson | done]).reindex(columns=TRAININGS)
    pictures = {"samples": pixel}
    return Board("digits", "Does it leak?", table, measurements, trainings, pictures, CONTENDERS)


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


def rows_of(text: str, table: str) -> dict[str, list[str]]:
    """The text of the cells of one table, by the first of each row."""
    body = text.partition(f'class="{table}"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    lines = [re.split(r"</t[hd]>", line)[:-1] for line in body.split("</tr>")[:-1]]
    plain = [[unescape(" ".join(re.sub(r"<[^>]+>", " ", c).split())) for c in row] for row in lines]
    return {name: cells for name, *cells in plain}


def test_the_extraction_table_compares_each_attack_with_as_many_plain_pictures(text: str):
    none = rows_of(text, "extraction")["none"]
    assert none == [
        "16.0% N = 500",
        "11.0% N = 500",
        "37.2% 31.2–43.5% lambda = 6, N = 250 plain 16.8%, p <0.001",
        "12.8% lambda = 6, N = 250 plain 14.1%, p = 0.747",
        "—",  # nothing was kept
        "1.6% N = 500",
    ]
    table = text.partition('class="extraction"')[2].partition("</table>")[0]
    for shown in ("best strength; sees predictor", "what it keeps", "unresolved: nothing was kept"):
        assert shown in table
    assert rows_of(text, "extraction")["amg<b>"] == ["—"] * 6
    assert table.count('title="this attack was not tried on it"') == 6


def test_the_board_shows_who_extracted_most_and_why_a_cell_is_empty(text: str):
    none, amg = rows_of(text, "board").values()
    place = [column.key for column in SHOWN].index("extracted_ams")
    assert none[place] == "37.2% 31.2–43.5% side, lambda = 6"
    assert none[place + 1].endswith("N = 250")
    assert amg[place : place + 2] == ["—", "—"]
    assert text.count('title="no extraction attack was tried on it"') == 2


def test_a_track_without_extraction_attacks_has_no_table_of_them_and_without_a_grid_no_figure():
    drawn = replace(board(), figures={"extraction": board().figures["samples"]})
    table, figure = "What extraction attacks leave", "How far an attacker can steer"
    for contenders, shown in ((CONTENDERS, (True, True)), (CONTENDERS[:1], (True, False))):
        text = render([replace(drawn, contenders=contenders)])
        assert (table in text, figure in text) == shown
    bare = render([replace(drawn, contenders=())])
    assert table not in bare
    assert figure not in bare


def test_a_training_stands_with_its_steps_and_epochs(text: str):
    table = text.partition('class="trainings"')[2].partition("</table>")[0]
    for shown in ("half-a", "distill on members", "50", "8", "12.8", "2.5 min", "&lt;script&gt;"):
        assert shown in table
    assert "not measured" in table  # its memory


def test_tables_are_named_and_headed_and_pictures_described(text: str, page: Page):
    assert text.count("<caption>") == len(page.all("table")) == 7
    assert all(head.get("scope") or head.get("class") == "group" for head in page.all("th"))
    assert all("digits" in (image["alt"] or "") for image in page.all("img"))
    assert page.all("html")[0]["lang"] == "en"


def test_every_sortable_column_points_at_a_cell_that_exists(text: str, page: Page):
    columns = [int(head["data-column"] or 0) for head in page.all("th") if "data-column" in head]
    assert max(columns) == len(SHOWN) == 18
    assert columns.count(0) == 7


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
CURVE = np.array([[0, 0.1, 0.05, 0.2], [2, 0.2, 0.1, 0.3], [6, 0.4, 0.3, 0.5]])
STRENGTHS = {
    "AMS": {"none": CURVE, "amg": CURVE / 2},
    "UMS": {"none": CURVE[1:], "amg": CURVE[:1]},
}
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
    "extraction": lambda: figures.extraction({"side": STRENGTHS, "another": STRENGTHS}),
    "extraction without a grid": lambda: figures.extraction({}),
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
    for draw in (FIGURES["neighbors"], FIGURES["roc"], FIGURES["extraction"]):
        state = RNG.bit_generator.state
        first = draw()
        RNG.bit_generator.state = state
        assert draw() == first


def test_strengths_ascend_from_plain_drawing_and_ums_is_never_that_of_fewer_pictures():
    who = {"family": "side", "sees": "predictor", "defenses": ["none", "amg", "untried"]}
    grid = {**who, "attacks": [[2.0, "weak"], [6.0, "strong"]], "plain": {"none": ["r", "images"]}}
    rows = []
    for place, (defense, attack, sees) in enumerate(
        [(d, a, "predictor") for d in ("none", "amg") for a in ("strong", "weak")]
        + [("none", "r", "images"), ("amg", "side", "predictor"), ("none", "side", "predictor")]
    ):
        ending = ":best-random" if attack == "side" else ""
        about = {"defense": defense, "attack": attack, "sees": sees, "n": 500}
        for score in ("ams", "ums"):
            value = {"value": place / 10, "ci_low": place / 20, "ci_high": place / 5}
            rows.append({"metric": f"{score}:{COPY}{ending}", **about, **value})
            # neither the other bands nor the tests are drawn
            rows.append({"metric": f"{score}:low:local-sscd", **about, "value": 0.99})
            rows.append(
                {"metric": f"{score}_vs_random_p:{COPY}", **about, "value": 0.99, "n": 1000}
            )
    ((attack, panels),) = strengths(pd.DataFrame(rows), [grid], "local-sscd").items()
    assert attack.splitlines() == ["side", "sees the predictor", "N = 500 each"]
    values = {
        score: {defense: curve[:, :2].tolist() for defense, curve in curves.items()}
        for score, curves in panels.items()
    }
    none = [[0, 0.4], [2, 0.1], [6, 0.0]]
    assert values["AMS"] == {"none": none, "amg": [[0, 0.5], [2, 0.3], [6, 0.2]]}
    assert values["UMS"] == {"none": none, "amg": [[2, 0.3], [6, 0.2]]}
    assert panels["AMS"]["amg"][0, 2:].tolist() == [0.25, 1.0]
    assert strengths(pd.DataFrame(), [], "local-sscd") == {}


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
