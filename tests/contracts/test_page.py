"""The page is one safe, self-contained file, and its figures are pictures."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from boards import CONTENDERS, KNOWN, board
from leakboard import artefacts
from leakboard.measures.shown import FORMATS, interval
from leakboard.report import charts, drawn, figures, payload
from leakboard.report.board import letters
from leakboard.report.cells import Cell, Column, Row, Table, numbers
from leakboard.report.page import Board, render
from leakboard.report.pictures import panels, strengths

EVIL = "<script>alert('leak')</script>"
FOE = ["none", EVIL, '" onmouseover="alert(1)', "</script><b>"]


class Page(HTMLParser):
    """Every tag with its attributes, and every script's text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append((self.tags[-1][1], data))
        elif self.inside == "style":
            self.styles.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def foe() -> Board:
    """A board whose every name and note would like to be more than text."""
    made = board(
        defenses=4, attacks=3, called=FOE, about=EVIL, tried=[(n, "weights") for n in FOE[1:]]
    )
    made = replace(made, measurements=made.measurements.assign(note=EVIL))
    return replace(made, figures={"samples": picture()}, track=FOE[2])


def picture() -> bytes:
    return figures.preview(np.zeros((1, 8, 8, 1), dtype=np.uint8))


@pytest.fixture(scope="module")
def seen() -> Board:
    return replace(board(defenses=12, attacks=9), figures={"samples": picture()})


@pytest.fixture(scope="module")
def text(seen: Board) -> str:
    return render([seen])


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
    assert not page.all("form")


def test_a_policy_allows_the_scripts_and_the_style_of_the_page_and_nothing_else(page: Page):
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv")]
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    assert rules["default-src"] == rules["connect-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in str(policy)

    def hashes(texts: list[str]) -> set[str]:
        return {b64decode(each.split("-", 1)[1][:-1]).hex() for each in texts}

    run = [t for attrs, t in page.scripts if attrs.get("type") in (None, "text/plain")]
    wanted = {sha256(t.encode()).hexdigest() for t in run}
    assert hashes(rules["script-src"].split()) == wanted
    assert len(run) == 6  # one line, three libraries of charts, one of tables, and our own
    (style,) = page.styles
    assert hashes(rules["style-src"].split()) == {sha256(style.encode()).hexdigest()}
    assert not any(
        "style" in attrs or any(k.startswith("on") for k in attrs) for _, attrs in page.tags
    )


def test_whatever_is_named_stays_text():
    text = render([foe()])
    page = Page(text)
    assert EVIL not in text
    assert "&lt;script&gt;alert" in text
    assert all("onmouseover" not in attrs for _, attrs in page.tags)
    assert not page.all("b") or all(not attrs for attrs in page.all("b"))
    assert len([t for attrs, t in page.scripts if attrs.get("type") is None]) == 3


def test_json_in_a_page_ends_no_script_whatever_it_holds():
    found = payload.embedded({"a": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(found)
    assert json.loads(found) == {"a": "</script><!--\u2028&"}


def test_no_name_is_ever_part_of_a_chart():
    told = json.dumps({"charts": charts.charts(), **charts.themes()})
    assert not any(name in told for name in KNOWN)
    assert not any(key.startswith(("url", "href")) for key in re.findall(r'"(\w+)":', told))


def test_numbers_go_along_with_all_their_digits_and_gaps():
    column = Column("x", "X", "rate", domain=(0.0, 1.0))
    rows = [Row("a", [Cell("10%", value=0.1 + 0.2, opens="p|w")]), Row("b", [Cell(reason="?")])]
    (told,) = numbers(Table("t", "", "", "", [column], rows))["columns"]
    assert told["value"] == [0.1 + 0.2, None]
    assert "low" not in told
    assert told["opens"] == ["p|w", ""]


@pytest.mark.parametrize(
    ("group", "shown"), [("", ""), ("a", "a"), ("ab", "ab"), ("abc", "a–c"), ("acdefh", "ac–fh")]
)
def test_letters_in_a_row_are_drawn_together(group: str, shown: str):
    assert letters(group) == shown


def static(text: str, table: str) -> list[list[str]]:
    """The text of the cells of each row of the first table of a kind, its name first."""
    body = text.partition(f'<table class="{table}">')[2].partition("<tbody>")[2]
    lines = body.partition("</tbody>")[0].split("</tr>")[:-1]
    found = []
    for line in lines:
        cells = re.split(r"<t[hd][^>]*>", line)[1:]
        plain = (" ".join(re.sub(r"<[^>]+>", " ", each).split()) for each in cells)
        found.append([unescape(each) for each in plain])
    return found


def test_without_scripts_a_number_stands_with_its_interval_and_its_attack(text: str, seen: Board):
    rows = static(text, "board")
    assert len(rows) == len(seen.table)
    for cells, row in zip(rows, seen.table.to_dict("records"), strict=True):
        assert cells[0].startswith(str(row["defense"]))
        value = FORMATS["rate"](row["copy_rate"])
        ends = interval("rate", row["copy_rate_low"], row["copy_rate_high"])
        assert cells[2] == " ".join(
            filter(None, [value, letters(row["copy_rate_group"] or ""), ends])
        )
        assert any(str(row["weights_attack"]) in each for each in cells)


def test_a_missing_cell_is_a_dash_that_tells_its_reason(text: str, page: Page):
    outside = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"\b(nan|NaN|None|NaT)\b", outside)
    reasons = {attrs.get("title") for tag, attrs in page.tags if attrs.get("class") == "no"}
    assert {
        "none is what the others are compared with",
        "compared for contestants alone",
    } <= reasons
    assert "ruined: its FID is" in text
    assert 'class="badge ruined"' in text


def test_a_failed_or_skipped_measurement_tells_why_in_its_cell(seen: Board):
    rows = seen.measurements.copy()
    gone = (rows["defense"] == "cpsample") & (rows["sees"] == "weights") & (rows["metric"] == "auc")
    rows.loc[gone, ["value", "ci_low", "ci_high"]] = np.nan
    rows.loc[gone, ["status", "note"]] = ["failed", "attack loss on base, seed 0 failed: no room"]
    text = render([replace(seen, measurements=rows)])
    assert 'title="failed: attack loss on base, seed 0 failed: no room">—' in text


def test_the_extraction_table_compares_each_attack_with_as_many_plain_pictures(text: str):
    rows = {row[0].split()[0]: row[1:] for row in static(text, "extraction")}
    assert len(rows["cpsample"]) == 4
    plain, steered = rows["cpsample"][0], rows["cpsample"][2]
    assert "N = 250" in plain
    assert "lambda = 6, N = 250 plain" in steered
    for shown in ("side: best strength; sees predictor", "random: plain drawing; sees images"):
        assert shown in text


def test_a_track_without_extraction_attacks_has_no_table_of_them_and_without_a_grid_no_figure(
    seen: Board,
):
    drawn_ = replace(seen, figures={"extraction": picture()})
    table, figure = "What extraction attacks leave", "How far an attacker can steer"
    for contenders, shown in ((CONTENDERS, (True, True)), (CONTENDERS[:1], (True, False))):
        text = render([replace(drawn_, contenders=contenders)])
        assert (table in text, figure in text) == shown
    bare = render([replace(drawn_, contenders=())])
    assert table not in bare
    assert figure not in bare


def test_a_training_stands_with_its_steps_and_epochs(text: str):
    (row, *_) = static(text, "trainings")
    assert row == [
        *("base", "standard on members from pretrained seed 0", "100", "1500", "960"),
        *("65.2 s", "510 MB"),
    ]


def test_a_reported_number_stands_beside_ours_with_what_differs_in_words(text: str, seen: Board):
    met = seen.reported[seen.reported["measured"].notna()]
    assert len(met) > 10
    first = met.iloc[0]
    for said in (first["protocol"], first["differs"], first["doubts"], first["paper"]):
        assert str(said) in unescape(text)
    assert f"{len(seen.reported) - len(met)} more reported numbers have no counterpart" in text


def test_the_page_says_in_a_sentence_what_leaks_and_who_does_best(text: str, seen: Board):
    (said,) = re.findall(r'<p class="finding">(.*?)</p>', text)
    none = seen.table[seen.table["defense"] == "none"].iloc[0]
    assert f"Without a defense, {FORMATS['rate'](none['copy_rate'])} of the samples copy" in said
    first = seen.table.loc[seen.table["rank_low"] == 1, "defense"]
    assert all(name in said for name in first)


def test_smallest_differences_are_printed_with_the_table(text: str, seen: Board):
    value = seen.verdict["smallest"]["copy_rate"]["value"]
    assert f"copy rate {100 * value:.1f} points" in text


def test_tables_are_named_and_headed_and_pictures_described(text: str, page: Page):
    assert text.count("<caption") == len(page.all("table"))
    assert all(head.get("scope") or head.get("class") == "group" for head in page.all("th"))
    assert all(image["alt"] for image in page.all("img"))
    assert page.all("html")[0]["lang"] == "en"
    regions = [attrs for _, attrs in page.tags if attrs.get("role") == "region"]
    assert all(attrs.get("aria-label") and attrs.get("tabindex") == "0" for attrs in regions)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_rendering_twice_gives_the_same_page(text: str, seen: Board):
    assert render([seen]) == text


def test_a_board_read_back_from_its_files_is_the_same_page(text: str, seen: Board, tmp_path: Path):
    names = ("table", "trainings", "comparisons", "controls", "reported", "curves", "histograms")
    read = {}
    for name in names:
        artefacts.write_csv(tmp_path / f"{name}.csv", getattr(seen, name))
        read[name] = artefacts.read_csv(tmp_path / f"{name}.csv")
    artefacts.write_table(tmp_path / "rows.parquet", {}, seen.measurements)
    read["measurements"] = artefacts.read_table(tmp_path / "rows.parquet")
    again = render([replace(seen, **read)])
    assert len(again) == len(text)
    assert again == text


def test_a_page_without_boards_or_numbers_still_renders(seen: Board):
    none = (seen.table, seen.measurements, seen.trainings)
    bare = Board("bare", "?", *(frame.iloc[:0] for frame in none))
    text = render([bare])
    assert "bare" in text
    assert "No control was run" in text
    assert "<main" in render([])


def test_where_no_picture_may_leave_none_is_on_the_page(seen: Board):
    text = render([replace(seen, gallery={"off": True}, figures={"samples": picture()})])
    assert not Page(text).all("img")


def test_the_ranks_of_a_board_that_is_invalid_are_no_finding(seen: Board):
    bad = {**seen.verdict, "valid": False, "reasons": ["blind reaches an AUC of 0.9"]}
    text = render([replace(seen, verdict=bad)])
    assert 'class="stamp invalid" role="alert"' in text
    assert "<li>blind reaches an AUC of 0.9</li>" in text
    (said,) = re.findall(r'<p class="finding">(.*?)</p>', text)
    assert "ranked" not in said


COPIED = "copy:local-sscd"
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
            n: {
                "none (0.8)": (RATES, RATES**0.3, RATES**0.4, RATES**0.2),
                "a$\\frac$": (RATES,) * 4,
            }
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
    with Image.open(BytesIO(figures.png(FIGURES[name]()))) as image:
        assert image.format == "PNG"
        assert image.width == 1200
        assert 250 <= image.height <= 3000
        assert "Software" not in image.info
        assert image.convert("L").getextrema()[0] < 128  # something was drawn


@pytest.mark.parametrize("save", [figures.png, figures.svg])
def test_the_same_arrays_give_the_same_file(save: Any):
    for draw in (FIGURES["neighbors"], FIGURES["roc"], FIGURES["extraction"]):
        state = RNG.bit_generator.state
        first = save(draw())
        RNG.bit_generator.state = state
        assert save(draw()) == first


def test_a_vector_figure_is_svg_without_a_date_or_a_name_that_is_more_than_text():
    curve = (RATES, RATES, RATES, RATES)
    told = figures.svg(figures.roc({EVIL: {"-->" + EVIL: curve, "$x$": curve}})).decode()
    assert "<svg" in told
    assert "dc:date" not in told
    assert EVIL not in told
    assert "<script" not in told


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
            rows.append({"metric": f"{score}:{COPIED}{ending}", **about, **value})
            # neither the other bands nor the tests are drawn
            rows.append({"metric": f"{score}:low:local-sscd", **about, "value": 0.99})
            rows.append(
                {"metric": f"{score}_vs_random_p:{COPIED}", **about, "value": 0.99, "n": 1000}
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


# --- what charts are drawn from ------------------------------------------------------------------


def scores(members: int = 40, strangers: int = 400, shift: float = 1.0) -> pd.DataFrame:
    """Scores of an attack, half of them dev and half test."""
    n = members + strangers
    inside = np.arange(n) < members
    return pd.DataFrame(
        {
            "score": RNG.normal(size=n) + shift * inside,
            "pool": np.where(inside, "members", "held-out"),
            "fold": np.where(np.arange(n) % 2, "dev", "test"),
        }
    )


def test_a_curve_is_that_of_scikit_learn_at_every_rate_of_its_grid_and_lies_in_its_band():
    from sklearn.metrics import roc_auc_score, roc_curve

    table = scores()
    found = drawn.curves([("loss", "weights", "none", {"base": "d"})], {"d": table}, 0)
    test = table[table["fold"] == "test"]
    member = (test["pool"] == "members").to_numpy()
    fpr, tpr, _ = roc_curve(member, test["score"], drop_intermediate=False)
    best = [tpr[fpr <= rate + 1e-9].max() for rate in found["fpr"]]
    assert found["tpr"].tolist() == best
    assert found["auc"].iloc[0] == pytest.approx(roc_auc_score(member, test["score"]), abs=1e-12)
    assert (found["low"] <= found["tpr"]).all()
    assert (found["tpr"] <= found["high"]).all()
    assert found["fpr"].iloc[[0, -1]].tolist() == pytest.approx([1e-3, 1])
    assert len(found) == drawn.POINTS


def test_a_curve_says_which_network_it_is_of_and_whether_its_score_is_turned_around():
    tables = {"a": scores(shift=0.1), "b": scores(shift=-2.0)}
    lines = [
        ("loss", "weights", "dualmd", {"half-a": "a", "half-b": "b"}),
        ("loss", "predictor", "amg", {"amg": "b"}),
        ("loss", "predictor", "lost", {"lost": "c"}),
    ]
    found = drawn.curves(lines, tables, 0)
    assert found["defense"].unique().tolist() == ["dualmd", "amg"]
    said = found.groupby("defense")["scored_by"].first()
    assert said["dualmd"] == "half-b, turned around"
    assert said["amg"] == "turned around"
    turned = found[found["defense"] == "amg"]
    assert turned["auc"].iloc[0] < 0.2
    assert (turned["tpr"] >= turned["fpr"] - 0.02).all()
    (title,) = panels(found)
    assert title == "loss, sees the predictor"
    again = drawn.curves(lines[:1], tables, 0)
    pd.testing.assert_frame_equal(again, found[found["defense"] == "dualmd"])


def test_histograms_count_every_sample_once_and_copies_right_of_the_threshold():
    similar = {"none": RNG.random(500), "flat": np.full(7, 0.5)}
    similar["none"][:3] = 0.8  # on the threshold is no copy
    found = drawn.histograms(similar, RNG.random(90), 0.8, "pixels")
    sums = found.groupby("defense")["count"].sum()
    assert sums.to_dict() == {"": 90, "none": 500, "flat": 7}
    right = found[(found["defense"] == "none") & (found["low"] >= 0.8 - 1e-9)]
    assert right["count"].sum() == (similar["none"] > 0.8).sum()
    assert found["threshold"].unique().tolist() == [0.8]
    assert (found["low"] == 0.8).any()


def closest(names: list[str], n: int = 9) -> dict[str, drawn.Pair]:
    table = pd.DataFrame(
        {"sample": range(n), "neighbor": range(10, 10 + n), "similarity": np.linspace(0, 1, n)}
    )
    return dict.fromkeys(names, (GRAY[:n], GRAY[n : 2 * n], table))


def test_a_gallery_shows_the_closest_calls_within_its_budget():
    found = drawn.gallery(closest(["none", "amg"]), 4, 500, "pixels")
    assert found["left_out"] == 0
    pairs = found["pairs"]["none"]
    assert [pair["sample"] for pair in pairs] == [8, 7, 6, 5]
    assert [pair["neighbor"] for pair in pairs] == [18, 17, 16, 15]
    for key, images in (("generated", GRAY[:9]), ("training", GRAY[9:18])):
        with Image.open(BytesIO(b64decode(pairs[0][key]))) as image:
            assert np.array_equal(np.asarray(image), images[8][..., 0])
    size = len(json.dumps(found["pairs"]))
    tight = drawn.gallery(closest(["none", "amg"]), 4, size / 2000, "pixels")
    kept = {name: len(some) for name, some in tight["pairs"].items()}
    assert tight["left_out"] == 8 - sum(kept.values()) > 0
    assert abs(kept["none"] - kept["amg"]) <= 1
    assert sum(len(p["generated"]) + len(p["training"]) for s in tight["pairs"].values() for p in s)


def test_a_large_picture_is_made_smaller_and_none_leaves_when_it_is_off():
    large = {"none": (np.zeros((1, 256, 128, 3), np.uint8),) * 2 + (closest(["x"], 1)["x"][2],)}
    (pair,) = drawn.gallery(large, 1, 500, "pixels")["pairs"]["none"]
    with Image.open(BytesIO(b64decode(pair["training"]))) as image:
        assert image.size == (48, 96)
    assert drawn.gallery(large, 0, 500, "pixels") == {"off": True}
