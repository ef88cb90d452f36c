"""Assets: what a configuration reads from outside the repository, and a cache to read it from.

A dataset's files and the weights that a training starts from are named by their paths. Where a path
is not there, as on a cluster that nobody copied them to, its copy in the cache is read: it was
imported from an archive that was exported where the path is, and has the same hashes.

    {cache}/names/{SHA-256 of a path}.json   what the path holds: [size, SHA-256] of each file
    {cache}/assets/{SHA-256 of that}/...     the files themselves, once, however they are named
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from leakboard.digests import canonical
from leakboard.errors import UserError
from leakboard.files import sha256, write_bytes

if TYPE_CHECKING:
    from leakboard.config import Resolved

CACHE = "LEAKBOARD_CACHE"
KIND = "leakboard assets 1"
Held = Mapping[str, tuple[int, str]]  # path inside an asset, "" if it is one file -> size, SHA-256


def cache() -> Path:
    """The folder of the cache, which LEAKBOARD_CACHE names, else ~/.cache/leakboard."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache/leakboard")


def place(path: str) -> Path:
    """Where a configured file or folder is: at its path, or else in the cache.

    A path that is in neither comes back as it is: who reads it says what is wrong.
    """
    if Path(path).exists() or not (known := _known(path)):
        return Path(path)
    return _copy(known)


def verified(path: str) -> Path:
    """The same, for a job: UserError unless a copy in the cache is what it was when exported."""
    found = place(path)
    if found != Path(path) and held(found) != _known(path):
        raise UserError(f"{found}: not what {path} was; remove it and import its archive again")
    return found


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
    """The paths outside the repository that tracks read, each once."""
    return sorted({path for board in boards for path in _asked(board)})


def _asked(board: Resolved) -> Iterator[str]:
    from leakboard import plugins

    dataset = board.track.dataset
    for param in plugins.constant("datasets", dataset.method, "reads") or ():
        said = dataset.params[param]
        yield from map(str, said if isinstance(said, list | tuple) else [said] if said else [])
    if board.track.subset.split:
        yield board.track.subset.split
    for network in board.networks.values():
        if network.init and network.init not in board.networks:
            yield network.init


def show(paths: Iterable[str]) -> None:
    """Print a line for each path: files, bytes, SHA-256, and where it is."""
    for path in paths:
        where, content = place(path), held(place(path))
        size = sum(size for size, _ in content.values())
        there = "here" if where == Path(path) else f"in {cache()}"
        print(f"{path}: {len(content):,} files, {size:,} bytes, {name_of(content)}, {there}")


def export(paths: Iterable[str], to: Path) -> None:
    """Write what the paths hold into an archive; UserError where one is missing."""
    from leakboard import archives

    if to.exists():
        raise UserError(f"{to}: is there already; name a file that is not")
    files: dict[str, Path | bytes] = {}
    found = {}
    for path in paths:
        where = verified(path)
        content = held(where)
        found[path] = name_of(content)
        files |= {_inside(found[path], name): where / name for name in content}
    if not files:
        raise UserError("the configuration reads nothing from outside the repository")
    size = archives.pack(to, files, {"kind": KIND, "assets": found})
    print(f"{to}: {', '.join(found)}: {len(files):,} files, {size:,} bytes")


def import_(archive: Path) -> None:
    """Put what an archive holds into the cache; UserError where it is not what it says."""
    from leakboard import archives

    cache().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".tmp-", dir=cache()) as folder:
        said = archives.unpack(archive, Path(folder, "new"))
        found = said.get("assets")
        if said.get("kind") != KIND or not isinstance(found, dict):
            raise UserError(
                f"{archive}: holds no assets ({KIND}), as `leakboard assets export` does"
            )
        for path, name in found.items():
            new = Path(folder, "new", str(name))
            content = held(new) if re.fullmatch("[0-9a-f]{64}", str(name)) else {}
            if name_of(content) != name:
                raise UserError(f"{archive}: {path}: not what its name says; export it again")
            if not _copy(content).exists():
                _copy(content).parent.mkdir(parents=True, exist_ok=True)
                for file in content:
                    (new / file).chmod(0o444)
                new.rename(_copy(content))
            write_bytes(_note(path), canonical({"path": path, "files": content}).encode())
            print(f"{path}: {len(content):,} files, in {cache()}")


def _inside(name: str, file: str) -> str:
    return f"{name}/{file}" if file else name


def _copy(content: Held) -> Path:
    return cache() / "assets" / name_of(content)


def _note(path: str) -> Path:
    return cache() / "names" / f"{hashlib.sha256(path.encode()).hexdigest()}.json"


def _known(path: str) -> dict[str, tuple[int, str]]:
    """What the cache knows a path to hold; nothing where it knows none."""
    if not _note(path).is_file():
        return {}
    said: dict[str, Any] = json.loads(_note(path).read_text(encoding="utf-8"))
    return {name: (int(size), str(found)) for name, (size, found) in said["files"].items()}
