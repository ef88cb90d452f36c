"""Which source files a job's numbers depend on, found by reading imports."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from leakboard import plugins

PLUMBING = {  # modules that cannot change a number
    "artefacts",
    "assets",
    "devices",
    "digests",
    "errors",
    "files",
    "job",
    "logs",
    "progress",
    "plugins",
    "signals",
}


def sources(step: Path, used: Mapping[str, str]) -> list[Path]:
    """The step, its plug-ins (group: method), and all library modules they import, sorted.

    They are inputs of the job, compared by content: editing one plug-in reruns what uses it.
    """
    found: set[Path] = set()
    todo = [step, *(plugins.file(group, method) for group, method in used.items())]
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += [f for f in imports(file) if f.stem not in PLUMBING]
    return sorted(found.union(*map(beside, found)))


def beside(file: Path) -> set[Path]:
    """What a module reads as resources: the other files in its folder, if it imports these."""
    if "from importlib import resources" not in file.read_text(encoding="utf-8").splitlines():
        return set()
    some = (f for f in file.parent.rglob("*") if f.is_file())
    return {f for f in some if f.suffix not in (".py", ".pyc")}


@cache
def imports(file: Path) -> tuple[Path, ...]:
    """The leakboard modules that a source file imports, as files; found without running it."""
    library = Path(__file__).parent
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    parts = [name.split(".")[1:] for name in names if name.split(".")[0] == "leakboard"]
    files = (library.joinpath(*part).with_suffix(".py") for part in parts if part)
    return tuple(sorted(f for f in files if f.is_file()))
