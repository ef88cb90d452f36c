"""What the page carries of others is what was published, with its license."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from leakboard.report import vendor

FOLDER = Path(__file__).parents[2] / "workflow/leakboard/report/vendor"


@pytest.mark.parametrize("name", vendor.listed())
def test_a_vendored_file_is_the_published_one_and_its_license_lies_beside_it(name: str):
    told = vendor.listed()[name]
    assert sha256((FOLDER / name).read_bytes()).hexdigest() == told["sha256"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", told["version"])
    license_ = (FOLDER / told["license_file"]).read_text(encoding="utf-8")
    words = {"MIT": "Permission is hereby granted", "BSD-3-Clause": "Redistribution and use"}
    assert words[told["license"]] in license_
    if "notices" in told:
        assert "d3-array" in (FOLDER / told["notices"]).read_text(encoding="utf-8")


def test_nothing_else_lies_among_them():
    told = vendor.listed().values()
    extra = {e[key] for e in told for key in ("license_file", "notices") if key in e}
    assert {f.name for f in FOLDER.iterdir()} == {*vendor.listed(), *extra, "vendor.toml"}
    assert {*vendor.TABLES, *vendor.CHARTS, *vendor.STYLES} == set(vendor.listed())


def test_on_the_page_a_library_is_itself_but_for_its_source_map_and_imports():
    for name in vendor.listed():
        text = vendor.read(name)
        assert "sourceMappingURL" not in text
        assert "</script" not in text.lower()
        assert "\r" not in text  # a browser would hash another text
        if name != "vega-interpreter.js":
            whole = (FOLDER / name).read_text(encoding="utf-8")
            assert whole.startswith(text.rstrip("\n"))
    text = vendor.read("vega-interpreter.js")
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE)
    assert "globalThis.expressionInterpreter = expression;" in text


def test_the_page_names_and_thanks_them():
    assert vendor.credits() == [
        f"{e['package']} {e['version']} ({e['license']})"
        for e in {e["package"]: e for e in vendor.listed().values()}.values()
    ]
