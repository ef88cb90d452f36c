"""Which source files a job's numbers depend on, found by reading imports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from leakboard import plugins
from leakboard.files import sha256, write_bytes

PLUMBING = {  # modules that cannot change a number
    "artefacts",
    "assets",
    "catalog",
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
IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]*(?:\(([^)]*)\)|((?:[^\n\\]|\\\n)*))",
    re.MULTILINE,
)
COMMENT = re.compile(r"#.*")


def sources(step: Path, used: Mapping[str, str]) -> list[Path]:
    """The step, its plug-ins (group: method), and all library modules they import, sorted.

    Editing one plug-in reruns what uses it.
    """
    found: set[Path] = set()
    todo = [step, *(plugins.file(group, method) for group, method in used.items())]
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += [f for f in imports(file) if f.stem not in PLUMBING]
    return sorted(found.union(*map(beside, found)))


def stamp(folder: Path, step: Path, used: Mapping[str, str], own: bool = True) -> Path:
    """A file that says of all these sources what is in them: the job's input in place of them.

    A line each, SHA-256 and name, of the step itself if it is our `own`. Written where it says
    something else, so no touch, and no clone, makes it newer; and Snakemake looks at one
    file of a job instead of thirty. Each has a folder to itself, for Snakemake looks into a folder
    once, and would not see what is written there later.
    """
    words = (step.stem, *(f"{group}={method}" for group, method in sorted(used.items())))
    path = folder / ",".join(words) / "sources.txt"
    told = (file for file in sources(step, used) if own or file != step)
    text = "".join(f"{content(file)}  {_name(file)}\n" for file in told)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_bytes(path, text.encode())
    return path


def _name(file: Path) -> str:
    """The name of a source file, the same wherever this package is."""
    root = Path(__file__).parents[1]
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()


@cache
def content(file: Path) -> str:
    """The SHA-256 of a source file, read once."""
    return sha256(file)


@cache
def beside(file: Path) -> set[Path]:
    """What a module reads as resources: the other files in its folder, if it imports these."""
    if "from importlib import resources" not in file.read_text(encoding="utf-8").splitlines():
        return set()
    some = (f for f in file.parent.rglob("*") if f.is_file())
    return {f for f in some if f.suffix not in (".py", ".pyc")}


@cache
def imports(file: Path) -> tuple[Path, ...]:
    """The leakboard modules that a source file imports, as files; found without running it.

    By the look of its lines, which is ten times as fast as parsing them.
    """
    library = Path(__file__).parent
    text = COMMENT.sub("", file.read_text(encoding="utf-8"))
    names: set[str] = set()
    for module, inside, plain in IMPORT.findall(text):
        some = (each.split() for each in (inside or plain).replace("\\", " ").split(","))
        words = {each[0] for each in some if each}
        names |= {module, *(f"{module}.{word}" for word in words)} if module else words
    parts = [name.split(".")[1:] for name in names if name.split(".")[0] == "leakboard"]
    files = (library.joinpath(*part).with_suffix(".py") for part in parts if part)
    return tuple(sorted(f for f in files if f.is_file()))
