"""The leaderboard as one HTML file that asks no host for anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from leakboard.report import charts, vendor
from leakboard.report.payload import embedded, squeezed
from leakboard.report.view import views

REPORT = resources.files("leakboard.report")
PARTS = ("state", "tables", "charts", "drawer", "compare", "exports", "leaderboard")
EARLY = 'document.documentElement.classList.add("js")'
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; "
    "connect-src 'none'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Board:
    """One track: what was asked, found and drawn; frames and dictionaries as the steps write them.

    comparisons, controls, verdict: see `standings`, `control` and `measures.board`. reported: see
    `counterparts`. cells: the measurement files (stage, path, spec, inputs
    [[path, SHA-256], ...] by name, command, log).
    config: the resolved entries by name, of "defenses", "attacks", "networks", and the "track".
    curves, histograms, gallery: see `drawn`. figures: PNG bytes by name, captioned by the name up
    to the first `-`. contenders: see `drawings.contenders`. gate: how many times the FID of `none`
    an entry may have and be ranked; 0 without a gate.
    """

    track: str
    about: str
    table: pd.DataFrame
    measurements: pd.DataFrame
    trainings: pd.DataFrame
    figures: Mapping[str, bytes] = field(default_factory=dict)
    contenders: Sequence[Mapping[str, str]] = ()
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    reported: pd.DataFrame = field(default_factory=pd.DataFrame)
    cells: Sequence[Mapping[str, Any]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    histograms: pd.DataFrame = field(default_factory=pd.DataFrame)
    gallery: Mapping[str, Any] = field(default_factory=dict)
    gate: float = 0.0


def render(boards: Iterable[Board]) -> str:
    """Return the whole page; equal boards give equal text, and all of it is escaped.

    No picture counted, it stays below `view.BUDGET` bytes: what would not fit is left to the files
    beside the page, and the page says so.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(REPORT.joinpath("leaderboard.html.j2").read_text("utf-8"))
    style = "\n".join([*map(vendor.read, vendor.STYLES), _own("leaderboard.css")])
    libraries = {"tables": vendor.TABLES, "charts": vendor.CHARTS}
    packed = [(use, squeezed(vendor.read(n))) for use, names in libraries.items() for n in names]
    run = [EARLY, script(), *map(vendor.read, (*vendor.TABLES, *vendor.CHARTS))]
    static = {"charts": charts.charts(), **charts.themes(), "dashes": charts.DASHES}
    policy = POLICY.format(
        scripts=" ".join(map(vendor.allowed, run)),
        styles=vendor.allowed(style),
    )
    boards = list(boards)

    def written(found: Sequence[Mapping[str, Any]]) -> str:
        return page.render(
            boards=found,
            policy=policy,
            style=Markup(style),
            early=Markup(EARLY),
            script=Markup(script()),
            libraries=packed,
            static=Markup(embedded(static)),
            credits=vendor.credits(),
        )

    return views(boards, written)


def script() -> str:
    """The page's own script: its parts, one after another, in a function of their own."""
    parts = "\n".join(_own(f"scripts/{name}.js") for name in PARTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def _own(name: str) -> str:
    return REPORT.joinpath(name).read_text(encoding="utf-8")
