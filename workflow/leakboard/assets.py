"""Assets: what a configuration reads from outside the repository, and a cache to read it from.

They are named by their paths, or by the names that `leakboard.catalog` knows. What is not at its
path is read from the cache: it was fetched there, or imported from an archive. Jobs fetch nothing.

    {cache}/names/{SHA-256 of a name}.json   what the name holds: [size, SHA-256] of each file
    {cache}/assets/{SHA-256 of that}/...     the files themselves, once, however they are named
    {cache}/downloads/{SHA-256 of a name}/   what of a name has come so far
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache as remembered
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakboard import catalog
from leakboard.digests import canonical
from leakboard.errors import UserError
from leakboard.files import sha256, write_bytes

if TYPE_CHECKING:
    from leakboard.config import Resolved

CACHE = "LEAKBOARD_CACHE"
HUB = re.compile(r"[\w.-]+/[\w.-]+")  # owner/name, as the Hugging Face hub has them
Held = Mapping[str, tuple[int, str]]  # path inside an asset, "" if it is one file -> size, SHA-256


def cache() -> Path:
    """The folder of the cache, which LEAKBOARD_CACHE names, else ~/.cache/leakboard."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache/leakboard")


def place(name: str) -> Path:
    """Where a configured file or folder is: at its path, or else in a cache.

    A path that is in neither comes back as it is: who reads it says what is wrong.
    """
    if Path(name).exists():
        return Path(name)
    known = recorded(name)
    return copy_of(known) if known else _downloaded(name) or Path(name)


def verified(name: str) -> Path:
    """The same, for a job: UserError where a known asset is missing, or a copy has changed."""
    found, known = place(name), recorded(name)
    if known and found == copy_of(known) and (not found.exists() or held(found) != known):
        again = command(name) or "import its archive again"
        raise UserError(f"{found}: not what {name} was; remove it and {again}")
    if name in catalog.known() and not found.exists():
        raise UserError(lacking(name))
    return found


def intact(path: Path) -> None:
    """UserError if a file, or a folder, of the cache is not what its name says; for a job."""
    copies = cache() / "assets"
    if path.is_relative_to(copies):
        top = copies / path.relative_to(copies).parts[0]
        if name_of(held(top)) != top.name:
            raise UserError(f"{top}: is not what it was; remove it, and fetch or import it again")


def lacking(name: str) -> str | None:
    """What is said of a name that is nowhere, with the command that gets it; None if it is here."""
    if place(name).exists():
        return None
    if name in catalog.known():
        return f"'{name}' is not here yet; {command(name)}, on a machine with internet"
    hint = ", the name of a model in the Hugging Face cache" if HUB.fullmatch(name) else ""
    listed = "what `leakboard assets list --known` names"
    return f"'{name}' is not there; expected a file or folder{hint}, or {listed}"


def command(name: str) -> str:
    """The command that gets a known asset."""
    return f"run `leakboard assets fetch {name}`" if name in catalog.known() else ""


def fingerprint(name: str) -> str:
    """The SHA-256 of what a name holds, without reading it where that is known; UserError if none.

    Of a file at a path, its content is read: once, unless it changes.
    """
    there = Path(name)
    if there.is_file():
        return _hashed(there, there.stat().st_size, there.stat().st_mtime_ns)
    asset = catalog.known().get(name)
    if not there.exists() and asset and [*asset.files] == [""] and asset.files[""].sha256:
        return asset.files[""].sha256
    if known := recorded(name):
        return name_of(known)
    raise UserError(lacking(name) or f"'{name}' is a folder, expected a file")


@remembered
def _hashed(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def distrusted(name: str, found: str, trusted: str) -> str | None:
    """Why code of this SHA-256 does not run: neither listed with it, nor `trusted` by the user."""
    asset = catalog.known().get(name)
    listed = asset.files[""].sha256 if asset and "" in asset.files else None
    if found in (listed, trusted):
        return None
    if trusted:
        return f"'{name}' has SHA-256 {found}, and the configuration trusts {trusted}"
    return (
        f"'{name}' is TorchScript, which is code, and nobody says what is in it; if you trust it, "
        f"add `sha256: {found}` beside it"
    )


def held(path: Path) -> dict[str, tuple[int, str]]:
    """What a file or a folder holds; UserError where there is none."""
    if path.is_file():
        return {"": (path.stat().st_size, sha256(path))}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise UserError(f"{path}: not there, or holds no file; expected a dataset or weights")
    names = [file.relative_to(path).as_posix() for file in files]
    return {n: (f.stat().st_size, sha256(f)) for n, f in zip(names, files, strict=True)}


def name_of(content: Held) -> str:
    """The SHA-256 of an asset: of a file that of its content, of a folder that of its listing."""
    if content.keys() == {""}:
        return content[""][1]
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def asked(boards: Iterable[Resolved]) -> list[str]:
    """What tracks read from outside the repository, paths and names, each once."""
    return sorted({name for board in boards for _, name in reads(board)})


def reads(board: Resolved) -> Iterator[tuple[str, str]]:
    """(key in the configuration, path or name) of what a track reads from outside."""
    from leakboard import plugins

    dataset = board.track.dataset
    for param in plugins.constant("datasets", dataset.method, "reads") or ():
        said = dataset.params[param]
        every = said if isinstance(said, list | tuple) else [said]
        yield from ((f"dataset.params.{param}", str(each)) for each in every if each)
    if board.track.subset.split:
        yield "subset.split", board.track.subset.split
    for key, network in board.networks.items():
        if network.init and network.init not in board.networks:
            yield f"networks.{key}.init", network.init
    for key in used_extractors(board):
        entry = board.extractors[key]
        for param in plugins.constant("extractors", entry.method, "reads") or ():
            yield f"extractors.{key}.params.{param}", entry.params[param]


def used_extractors(board: Resolved) -> list[str]:
    """The extractors that something on a board looks through, each once."""
    judges, every = board.track.evaluation, board.networks.values()
    taught = [each.extractor for n in every for each in (n.dedup, n.labels) if each]
    named = [*judges.extractors, judges.copies, judges.quality, *taught]
    named += [judges.theory.extractor] if judges.theory else []
    named += [defense.extractor for defense in board.defenses.values()]
    return [name for name in dict.fromkeys(named) if name in board.extractors]


def require(boards: Iterable[Resolved]) -> None:
    """UserError with a line for each asset that tracks read and that is not here, or may not run.

    A path that is not there is left to the job that reads it, which says what it expects.
    """
    from leakboard import plugins

    lines = []
    for board in boards:
        for key, name in reads(board):
            section, _, rest = key.partition(".")
            own = rest.rpartition(".params.")[0]
            entry = board.extractors[own] if section == "extractors" else None
            if problem := lacking(name) if entry or name in catalog.known() else None:
                lines.append(f"track {board.name}: {key}: {problem}")
            elif entry and plugins.constant("extractors", entry.method, "runs_code"):
                trusted = entry.params["sha256"]
                if problem := distrusted(name, fingerprint(name), trusted):
                    lines.append(f"track {board.name}: {key}: {problem}")
    if lines:
        raise UserError("\n".join(dict.fromkeys(lines)))


def keep(name: str, new: Path, content: Held) -> Path:
    """Move a file or a folder into the cache under a name; where it is then."""
    published(name, content)
    to = copy_of(content)
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        for file in content:
            (new / file).chmod(0o444)  # nobody writes there by mistake
        new.rename(to)
    write_bytes(_note(name), canonical({"path": name, "files": content}).encode())
    return to


def published(name: str, content: Held) -> None:
    """UserError where a known asset holds other files than its publisher's."""
    asset = catalog.known().get(name)
    for file, known in asset.files.items() if asset else ():
        found = content.get(file, (0, "missing"))[1]
        if known.sha256 not in (None, found):
            raise UserError(
                f"{name}: {file or 'its file'} has SHA-256 {found}, expected {known.sha256}, which "
                f"is what its publisher has; {command(name)}"
            )


def copy_of(content: Held) -> Path:
    """Where the cache keeps what has this content."""
    return cache() / "assets" / name_of(content)


def names() -> list[str]:
    """The names of all that is in the cache."""
    notes = sorted((cache() / "names").glob("*.json"))
    return sorted(json.loads(note.read_text(encoding="utf-8"))["path"] for note in notes)


def recorded(name: str) -> dict[str, tuple[int, str]]:
    """What the cache knows a name to hold; nothing where it knows none."""
    if not _note(name).is_file():
        return {}
    said: dict[str, Any] = json.loads(_note(name).read_text(encoding="utf-8"))
    found = {file: (int(size), str(hash_)) for file, (size, hash_) in said["files"].items()}
    published(name, found)
    return found


def coming(name: str) -> Path:
    """Where what of a name has come so far is kept."""
    return cache() / "downloads" / hashlib.sha256(name.encode()).hexdigest()


def _note(name: str) -> Path:
    return cache() / "names" / f"{hashlib.sha256(name.encode()).hexdigest()}.json"


def _downloaded(name: str) -> Path | None:
    """The folder of a model in the Hugging Face cache, as its own tools left it there."""
    if not HUB.fullmatch(name):
        return None
    home = os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface"
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    repo = hub / f"models--{name.replace('/', '--')}"
    try:
        found = repo / "snapshots" / (repo / "refs/main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return found if found.parent == repo / "snapshots" and found.is_dir() else None
