"""What papers report: config/reported.yaml, typed and checked. Imports nothing heavy.

Its numbers are shown beside measurements (`leakboard.counterparts`), and nothing is computed from
them: each table says in words how it was measured, what differs here, and what is doubtful.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pydantic
import yaml
from pydantic import Field, StringConstraints, ValidationError

from leakboard.entries import Access
from leakboard.errors import UserError
from leakboard.plugins import did_you_mean
from leakboard.strict import Name, Strict

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Model = Literal["unconditional", "class-conditional", "text-to-image"]
Unit = Literal[
    "share", "probability", "p", "z", "similarity", "nL2", "distance", "score", "setting"
]
Bound = Annotated[str, StringConstraints(pattern=r"^<[0-9]+(\.[0-9]+)?$")]
Printed = Annotated[float, pydantic.Strict()] | Bound | None

RANGES: dict[str, tuple[float, float]] = {  # what a unit allows; others: anything
    **dict.fromkeys(("share", "probability", "p"), (0, 1)),
    "similarity": (-1, 1),
    "nL2": (0, 2),  # at alpha = 0.5: the nearest of k is no farther than all of them on average
    "distance": (0, inf),
}


class Paper(Strict):
    """A paper whose tables are here."""

    name: Words = Field(description="what its method is called")
    title: Words = Field(description="in full")
    authors: Words = Field(description="as one cites them")
    venue: Words = Field(description="where it appeared")
    year: int = Field(ge=1900, le=2100, description="when")
    identifier: Words = Field(description="where it is found: arXiv, DOI, ...")
    note: str = Field("", description="what to know about the copy that was typed from")

    @property
    def cited(self) -> str:
        """As `CPSample (Kazdan et al., ICLR 2025)`."""
        return f"{self.name} ({self.authors}, {self.venue} {self.year})"


class Elsewhere(Strict):
    """What the papers compare with, and leakboard does not run."""

    defenses: dict[Name, Words] = Field({}, description="what each is")
    attacks: dict[Name, Words] = Field({}, description="what each is")


class Metric(Strict):
    """What a metric's numbers are; it is named without its feature space or threshold."""

    unit: Unit = Field(description="a `setting` is a choice, not a result")
    better: Literal["lower", "higher", "chance", ""] = Field(description="as in measurements.csv")
    about: Words = Field(description="in words")
    own: bool = Field(False, description="a term of the papers, which leakboard does not measure")


class Subject(Strict):
    """What numbers are about: said of a table, of a column or of a row."""

    model: Model | None = Field(None, description="what the network is told")
    dataset: Words | None = Field(None, description="of which images, and how many")
    defense: Name | None = Field(None, description="`none` is the undefended network")
    attack: Name | None = Field(None, description="who looks for members or copies, if anybody")
    sees: Access | None = Field(None, description="what that attacker has")
    metric: Words | None = Field(None, description="with its feature space: `fid:inception`")
    setting: Words | None = Field(None, description="with which params; said twice, both count")
    percent: bool | None = Field(None, description="whether shares are printed in percent")
    note: Words | None = Field(None, description="what else to know")


class Row(Subject):
    """What a row's numbers are about, and they themselves."""

    values: list[Printed] = Field(description='for each column a number, "<number", or null')


class Table(Strict):
    """A table of a paper, as it is printed."""

    paper: str = Field(description="a name under `papers`")
    source: Words = Field(description="where it stands in the paper: `Table 1`")
    protocol: Words = Field(description="how the paper measured")
    differs: Words = Field(description="what leakboard does otherwise")
    doubts: dict[Name, Words] = Field({}, description="what is doubtful: a name, a sentence")
    all: Subject = Field(Subject(), description="what all of its numbers have in common")
    columns: list[Subject] = Field(min_length=1, description="what each column is about")
    rows: list[Row] = Field(min_length=1, description="likewise, each with its values")


@dataclass(frozen=True)
class Number:
    """One number of a paper, and what was said of it; nothing said is "".

    value: in `unit`, so shares are in [0, 1]. bound: "<" where the paper says no more than that.
    """

    table: Table = field(repr=False)
    value: float
    bound: str
    unit: str
    better: str
    model: str
    dataset: str
    defense: str
    attack: str
    sees: str
    metric: str
    setting: str
    note: str


class Reported(Strict):
    """What papers report, to be shown beside measurements and never ranked."""

    papers: dict[Name, Paper] = Field(description="where the tables are from")
    elsewhere: Elsewhere = Field(Elsewhere(), description="names that are not in config.yaml")
    metrics: dict[Words, Metric] = Field(description="what is counted, and in which unit")
    tables: list[Table] = Field(description="the numbers")

    def numbers(self) -> Iterator[Number]:
        """Every number, in the order of the papers; empty cells are left out."""
        for table in self.tables:
            for row in table.rows:
                for column, printed in zip(table.columns, row.values, strict=True):
                    if printed is not None:
                        yield _number(self.metrics, table, column, row, printed)


def about(table: Table, column: Subject, row: Row) -> dict[str, Any]:
    """What is said of one cell, by the keys of `Subject`."""
    said = {}
    for key in Subject.model_fields:
        words = [getattr(each, key) for each in (column, row, table.all)]
        found = [word for word in words if word is not None]
        said[key] = ", ".join(reversed(found)) if key == "setting" else next(iter(found), None)
    return said


def _number(
    metrics: Mapping[str, Metric], table: Table, column: Subject, row: Row, printed: float | str
) -> Number:
    said = about(table, column, row)
    metric = metrics[family(str(said["metric"]))]
    digits = Decimal(str(printed).removeprefix("<"))
    percent = said.pop("percent") and metric.unit == "share"
    return Number(
        table,
        float(digits / 100 if percent else digits),
        "<" if isinstance(printed, str) else "",
        metric.unit,
        metric.better,
        **{key: str(value or "") for key, value in said.items()},
    )


def family(metric: str) -> str:
    """A metric without feature space, threshold and what follows: `ams:low`, `copy_rate`, `fid`."""
    return split(metric)[0]


def split(metric: str) -> tuple[str, str, str]:
    """A metric's (family, feature space, what follows)."""
    head, *more = metric.split(":")
    if head in ("ams", "ums") and more:
        head = f"{head}:{more.pop(0)}"
    space, rest = [*more, "", ""][0], ":".join(more[1:])
    return re.sub(r"^copy_rate>.*", "copy_rate", head), space, rest


def read(path: str | Path) -> Reported:
    """The file, checked; UserError with one line per problem: file, key, what was expected."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a YAML file of reported numbers: {error}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected keys and values, got {content!r}")
    try:
        reported = Reported.model_validate(content)
    except ValidationError as error:
        lines = dict.fromkeys(_line(content, problem) for problem in error.errors())
        raise UserError("\n".join(f"{path}: {line}" for line in lines)) from None
    if problems := list(_problems(reported)):
        raise UserError("\n".join(f"{path}: {problem}" for problem in problems))
    return reported


def _line(content: Any, problem: Any) -> str:
    """A problem that pydantic found, with its place and what to do."""
    loc = [part for part in problem["loc"] if part != "[key]"]
    if "values" in loc:
        loc = loc[: loc.index("values") + 2]  # without the kind of number that was tried last
        said = f'expected a number, "<number" or null, got {problem.get("input")!r}'
    elif problem["type"] == "extra_forbidden":
        said = f"unknown key; {did_you_mean(str(loc[-1]), _keys(loc[:-1]))}"
    elif problem["type"] == "missing":
        said = "missing"
    else:
        said = f"{problem['msg']}, got {problem.get('input')!r}"
    if loc[:1] == ["tables"] and len(loc) > 1 and isinstance(content["tables"][loc[1]], Mapping):
        table = content["tables"][loc[1]]
        loc[1] = f"{loc[1]} ({table.get('paper', '?')}, {table.get('source', '?')})"
    return f"{'.'.join(map(str, loc))}: {said}"


def _keys(path: Sequence[str | int]) -> list[str]:
    """The keys allowed at a place of the file."""
    model: Any = Reported
    for part in path:
        listed = get_origin(model) in (list, dict)
        model = get_args(model)[-1] if listed else model.model_fields[part].annotation
    return list(model.model_fields)


def _problems(reported: Reported) -> Iterator[str]:
    """What is wrong with a file that has all its keys, place by place."""
    seen: set[tuple[Any, ...]] = set()
    for i, table in enumerate(reported.tables):
        at = f"tables.{i} ({table.paper}, {table.source})"
        if table.paper not in reported.papers:
            yield f"{at}.paper: no such paper; {did_you_mean(table.paper, reported.papers)}"
        for r, row in enumerate(table.rows):
            here = f"{at}.rows.{r}.values"
            if len(row.values) != len(table.columns):
                yield (
                    f"{here}: expected one of each of {len(table.columns)} columns, got "
                    f"{len(row.values)}; write null where the paper has none"
                )
                continue
            for c, column in enumerate(table.columns):
                said = about(table, column, row)
                same = (table.paper, table.source, *said.values())
                if problem := _wrong(reported, table, column, row, row.values[c]):
                    yield f"{here}.{c}: {problem}"
                elif same in seen:
                    yield f"{here}.{c}: {said['metric']} is said twice of the same; add a `setting`"
                seen.add(same)


def _wrong(
    reported: Reported, table: Table, column: Subject, row: Row, printed: float | str | None
) -> str:
    """What is wrong with one cell, or ""."""
    said = about(table, column, row)
    if not said["metric"]:
        return "needs a `metric`, of the table, the column or the row"
    kind = family(said["metric"])
    if kind not in reported.metrics:
        return f"'{kind}' is not under `metrics`; {did_you_mean(kind, reported.metrics)}"
    setting = reported.metrics[kind].unit == "setting"
    for key in ("dataset",) if setting else ("dataset", "model", "defense"):
        if not said[key]:
            return f"needs a `{key}`, of the table, the column or the row"
    if (said["attack"] is None) != (said["sees"] is None):
        return "`attack` and `sees` go together: who looks, and at what"
    if printed is None:
        return ""
    number = _number(reported.metrics, table, column, row, printed)
    low, high = RANGES.get(number.unit, (-inf, inf))
    if not low <= number.value <= high:
        return f"expected a {number.unit} in [{low:g}, {high:g}], got {number.value:g}"
    return ""
