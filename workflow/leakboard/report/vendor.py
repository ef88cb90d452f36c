"""The libraries that the page carries, as published, and what its security policy says of them."""

from __future__ import annotations

import re
import tomllib
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

FOLDER = resources.files("leakboard.report").joinpath("vendor")
TABLES = ("tabulator.min.js",)
CHARTS = ("vega.min.js", "vega-lite.min.js", "vega-interpreter.js")
STYLES = ("tabulator_simple.min.css",)
MAP = re.compile(r"\n?(//# |/\*# )sourceMappingURL=\S+( \*/)?")  # a file that is not there
IMPORT = re.compile(r"\Aimport (\{[^}]+\}) from 'vega-util';$", re.MULTILINE)
EXPORT = re.compile(r"^export \{ expression as expressionInterpreter \};$", re.MULTILINE)


@cache
def listed() -> dict[str, dict[str, Any]]:
    """name -> package, version, license and checksum of every vendored file."""
    told = tomllib.loads(FOLDER.joinpath("vendor.toml").read_text(encoding="utf-8"))
    return {each["name"]: each for each in told["file"]}


def credits() -> list[str]:
    """package, version and license of every library, once each."""
    lines = (f"{e['package']} {e['version']} ({e['license']})" for e in listed().values())
    return list(dict.fromkeys(lines))


@cache
def read(name: str) -> str:
    """A vendored file as it stands on the page: without the address of its source map, and a
    module as a plain script that takes from `vega` what it would import.
    """
    text = MAP.sub("", FOLDER.joinpath(name).read_text(encoding="utf-8"))
    if name != "vega-interpreter.js":
        return text
    text, imported = IMPORT.subn(r"const \1 = vega;", text)
    text, exported = EXPORT.subn("globalThis.expressionInterpreter = expression;", text)
    assert imported == exported == 1, f"{name} is another version than the one known here"
    return f"(() => {{\n{text}\n}})();\n"


def allowed(text: str) -> str:
    """The source expression that allows exactly this script or style in a security policy."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
