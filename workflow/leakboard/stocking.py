"""`leakboard assets ...`: what is here, and how what is missing gets here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from leakboard import archives, assets, catalog, downloads
from leakboard.assets import cache, copy_of, held, keep, name_of, place
from leakboard.errors import UserError
from leakboard.plugins import did_you_mean

KIND = "leakboard assets 1"


def show(names: Iterable[str]) -> None:
    """Print a line for each path or name: files, bytes, SHA-256, and where it is."""
    for name in names:
        where = place(name)
        if not where.exists():
            print(f"{name}: missing; {_how(name)}")
            continue
        content = held(where)
        there = "here" if where == Path(name) else f"in {_cache_of(where)}"
        print(f"{name}: {_size(content)}, {name_of(content)}, {there}")


def show_known() -> None:
    """Print a line for each asset that has a name."""
    for name, asset in catalog.known().items():
        size = f"{asset.size:,} bytes" if asset.size else "size unknown"
        there = "here" if place(name).exists() else "not here"
        print(f"{name:26} {there:8}  {asset.what} ({size}; terms: {asset.terms})")


def fetch_all(names: Sequence[str]) -> None:
    """Fetch those of a configuration's names that are known; say of the others where they are."""
    show([name for name in names if name not in catalog.known()])
    fetch([name for name in names if name in catalog.known()])


def fetch(names: Sequence[str], source: Path | None = None) -> None:
    """Bring assets into the cache, from their publishers or from a user's own `source`.

    What is here already is not fetched again. Raises UserError where one is not what it should be.
    """
    for name in names:
        if name not in catalog.known():
            raise UserError(f"no asset '{name}'; {did_you_mean(name, catalog.known())}")
        if place(name).exists() and source is None:
            print(f"{name}: is here already, {assets.verified(name)}")
            continue
        asset, folder = catalog.known()[name], assets.coming(name)
        print(f"{name}: {asset.what}; terms: {asset.terms}", flush=True)
        content = {}
        for file, known in asset.files.items():
            to = folder / "new" / file if file else folder / "file"
            if source is not None:
                _take(source / file if file else source, to, known, name)
            elif not _there(to, known):
                downloads.fetch(asset.addresses(file), to, known, f"{name} {file}".strip())
            content[file] = (to.stat().st_size, downloads.checked(to, known))
        new = folder / ("file" if "" in content else "new")
        for other in {f for f in new.rglob("*") if f.is_file()} - {new / f for f in content}:
            other.unlink()  # locks, and what was known of parts
        where = keep(name, new, content)
        shutil.rmtree(folder)
        print(f"{name}: {_size(content)}, {where}")
        for file in (file for file, known in asset.files.items() if not known.sha256):
            print(f"{name}: {file or asset.file}: recorded SHA-256 {content[file][1]}")


def _take(source: Path, to: Path, known: catalog.File, name: str) -> None:
    """Copy a user's own file; UserError unless it is the known one."""
    if not source.is_file():
        raise UserError(f"{source}: no such file; expected {name}, as its publisher has it")
    try:
        downloads.checked(source, known)
    except downloads.Refused as error:
        raise UserError(f"{source}: is not {name}: {error}") from None
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)


def _there(file: Path, known: catalog.File) -> bool:
    """Whether one file of several has come before."""
    try:
        return bool(downloads.checked(file, known))
    except (OSError, downloads.Refused):
        return False


def verify(names: Sequence[str]) -> int:
    """Hash again what is in the cache, all of it or these; exit code 1 where one is wrong."""
    wrong = 0
    for name in names or assets.names():
        try:
            known = assets.recorded(name)
            if not known and not place(name).exists():
                raise UserError(assets.lacking(name))
            where = copy_of(known) if known else place(name)
            content = held(where)
            assets.published(name, content)
            if known and content != known:
                raise UserError(f"{where}: not what was recorded; remove it and {_how(name)}")
            asset = catalog.known().get(name)
            for file, one in asset.files.items() if asset else ():
                downloads.checked(where / file if file else where, one)
            print(f"{name}: as {'published' if asset and asset.pinned else 'recorded'}")
        except (UserError, downloads.Refused) as error:
            wrong += 1
            print(f"{name}: WRONG: {error}")
    return int(wrong > 0)


def export(names: Iterable[str], to: Path) -> None:
    """Write what the names hold into an archive; UserError where one is missing."""
    if to.exists():
        raise UserError(f"{to}: is there already; name a file that is not")
    files: dict[str, Path | bytes] = {}
    found = {}
    for name in names:
        where = assets.verified(name)
        content = held(where)
        found[name] = name_of(content)
        files |= {_inside(found[name], file): where / file for file in content}
    if not files:
        raise UserError("the configuration reads nothing from outside the repository")
    size = archives.pack(to, files, {"kind": KIND, "assets": found})
    print(f"{to}: {', '.join(found)}: {len(files):,} files, {size:,} bytes")


def import_(archive: Path) -> None:
    """Put what an archive holds into the cache; UserError where it is not what it says."""
    cache().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".tmp-", dir=cache()) as folder:
        said = archives.unpack(archive, Path(folder, "new"))
        found = said.get("assets")
        if said.get("kind") != KIND or not isinstance(found, dict):
            raise UserError(
                f"{archive}: holds no assets ({KIND}), as `leakboard assets export` does"
            )
        for name, hash_ in found.items():
            new = Path(folder, "new", str(hash_))
            content = held(new) if re.fullmatch("[0-9a-f]{64}", str(hash_)) else {}
            if name_of(content) != hash_:
                raise UserError(f"{archive}: {name}: not what its name says; export it again")
            keep(name, new, content)
            print(f"{name}: {len(content):,} files, in {cache()}")


def _inside(name: str, file: str) -> str:
    return f"{name}/{file}" if file else name


def _size(content: assets.Held) -> str:
    return f"{len(content):,} files, {sum(size for size, _ in content.values()):,} bytes"


def _cache_of(where: Path) -> Path:
    return cache() if where.is_relative_to(cache()) else where.parent


def _how(name: str) -> str:
    return assets.command(name) or "import its archive, or put it there"
