"""Stages: from a job's spec and files to its rows or tables; steps, `verify` and `merge` call them.

A measuring stage has `measure(spec, files)`, which returns (cell spec, measures) of each cell, and
`promised(spec)`, the metrics that every cell has, whatever comes out. A stage that makes tables or
pictures has `make(spec, files)`, which returns the content of each of its outputs, by name. `files`
are paths by name of input, each name a list.

What is told item by item says so: LISTS maps a key of the spec, whose value is a list, to the
inputs that go along with it, item by item. Such lists can be joined and cut.

Nothing here can change a number: the sources of a job are its stage and what that imports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

Files = Mapping[str, Sequence[str | Path]]

MEASURED = ("describe", "screening", "copying", "quality", "membership", "extraction", "theory")
DERIVED = (
    "gather",
    "compare",
    "rank",
    "cite",
    "figures",
    "page",
)  # in the order in which they are made
VERIFIED = ("gather", "compare", "rank", "cite")  # of which every number can be compared
# Key of a spec -> the stage whose table it means, by the digest of that stage's spec.
MEANT = {"gathered": "gather", "compared": "compare"}


def load(stage: str) -> Any:
    """The module of a stage, which is one of MEASURED or DERIVED."""
    if stage not in (*MEASURED, *DERIVED):
        raise ValueError(f"no stage '{stage}'")
    return import_module(f"leakboard.stages.{stage}")


def inputs(given: Any) -> dict[str, list[str]]:
    """Paths by name of what a job was given: `snakemake.input`, without its source files."""
    return {
        name: [str(value)] if isinstance(value, str) else [str(path) for path in value]
        for name, value in given.items()
        if name != "code"
    }
