"""Archives: files in one .tar or .tar.gz that says what is in it, and that nobody has to trust.

The first member, `manifest.json`, names every other one with its size and SHA-256. Equal content
gives equal bytes: names are sorted, and there are no times and no owners.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import IO, Any

from leakboard.artefacts import json_text
from leakboard.errors import UserError
from leakboard.files import atomic, sha256

MANIFEST = "manifest.json"
LARGEST = 64 * 2**20  # bytes that a manifest may have: about 400,000 files
HEADERS = 4096  # bytes that a member may add to its content
CHUNK = 2**20


def pack(to: Path, files: Mapping[str, Path | bytes], said: Mapping[str, Any]) -> int:
    """Write files by name into one archive; its size in bytes. `said` goes into the manifest.

    It is compressed where its name says so: .gz or .tgz.
    """
    listed: dict[str, tuple[int, str]] = {
        name: (len(file), hashlib.sha256(file).hexdigest())
        if isinstance(file, bytes)
        else (file.stat().st_size, sha256(file))
        for name, file in files.items()
    }
    manifest = json_text({**said, "files": listed}).encode()
    if len(manifest) > LARGEST:
        raise UserError(f"{to}: {len(files):,} files are too many for one archive; pack fewer")
    squeezed = to.suffix in (".gz", ".tgz")
    with (
        atomic(to) as temporary,
        temporary.open("wb") as raw,
        # no name and no time in it
        gzip.GzipFile("", "wb", 6, raw, mtime=0) if squeezed else nullcontext(raw) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        _add(archive, MANIFEST, len(manifest), io.BytesIO(manifest))
        for name in sorted(files):
            file = files[name]
            with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as content:
                _add(archive, name, listed[name][0], content)
    return to.stat().st_size


def unpack(file: Path, folder: Path) -> dict[str, Any]:
    """Write the members of an archive below a new folder; what the manifest says.

    Raises UserError, and writes nothing outside the folder, where a member is no plain file, has a
    path that leads elsewhere, is not in the manifest, or is not what the manifest says: no more is
    ever read than that. What was written by then is the caller's to remove.
    """
    with (
        _refusing(file),
        bounded(file, LARGEST + HEADERS) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,  # type: ignore[call-overload]
    ):
        manifest = _manifest(archive)
        listed: dict[str, list[Any]] = manifest["files"]
        total = sum(size for size, _ in listed.values())
        free = shutil.disk_usage(folder.parent).free
        if total > free:
            raise UserError(f"holds {total:,} bytes, and {folder.parent} has {free:,} left")
        stream.left = total + HEADERS * (len(listed) + 8)
        missing = set(listed)
        while member := archive.next():
            if member.name not in missing:
                there = "twice" if member.name in listed else "not in its manifest"
                raise UserError(f"{member.name!r} is {there}")
            missing.remove(member.name)
            _write(archive, member, folder, *listed[member.name])
    if missing:
        raise UserError(f"{file}: {min(missing)!r} is missing; copy the file again")
    return manifest


@contextmanager
def published(file: Path, most: int) -> Iterator[Iterator[tuple[str, int, IO[bytes]]]]:
    """Name without folders, size and content of each plain file in a tar archive, in its order.

    Nothing is written, and links are not followed. Contents are read one after another, while their
    turn lasts. Raises UserError where there are more than `most` bytes, or no archive.
    """
    try:
        with (
            bounded(file, most) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,  # type: ignore[call-overload]
        ):
            yield _plain_files(archive)
    except (UserError, tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise UserError(
            f"dataset.params.path: '{file}' is not an archive that can be read ({error})"
        ) from error


def _plain_files(archive: tarfile.TarFile) -> Iterator[tuple[str, int, IO[bytes]]]:
    while member := archive.next():
        whole = member.isreg() and not member.issparse()  # holes need no bytes, and have no bound
        content = archive.extractfile(member) if whole else None
        if content is not None:
            yield member.name.rpartition("/")[2], member.size, content


def named(name: str) -> PurePosixPath:
    """The path of a member; UserError unless it stays below the folder that it is written to."""
    path = PurePosixPath(name)
    odd = {"", ".", ".."} & set(name.split("/")) or "\\" in name or "\0" in name
    if path.is_absolute() or odd:
        raise UserError(f"{name!r} is no path of a file below a folder")
    return path


@contextmanager
def bounded(file: Path, most: int) -> Iterator[Bounded]:
    """The content of a file, unpacked if it is gzip; UserError where there are more bytes."""
    with file.open("rb") as raw, gzip.GzipFile(fileobj=raw) as packed:
        squeezed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        yield Bounded(packed if squeezed else raw, most)


class Bounded:
    """A stream of which no more than `left` bytes are read."""

    def __init__(self, stream: gzip.GzipFile | IO[bytes], left: int) -> None:
        self.stream, self.left = stream, left

    def read(self, size: int) -> bytes:
        data = self.stream.read(min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise UserError("holds more bytes than it should")
        return data


def _add(archive: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)  # of nobody, at no time
    member.size = size
    archive.addfile(member, content)


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    first = archive.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > LARGEST:
        raise UserError(f"does not begin with a {MANIFEST}: expected what `leakboard` has packed")
    content = archive.extractfile(first)
    manifest = json.loads(content.read()) if content else None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise UserError(f"its {MANIFEST} lists no files")
    for name, pair in manifest["files"].items():
        named(name)
        match pair:
            case [int(size), str(_)] if size >= 0:
                pass
            case _:
                raise UserError(f"its {MANIFEST} says no size and hash of {name!r}")
    return manifest


def _write(
    archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, size: int, recorded: str
) -> None:
    """Write a member's content: nothing else of it, no mode, owner, time or link."""
    if not member.isreg() or member.issparse():
        raise UserError(f"{member.name!r} is no plain file")
    content = archive.extractfile(member)
    if content is None or member.size != size:
        raise UserError(f"{member.name!r} has {member.size:,} bytes, the manifest says {size:,}")
    to, found = folder / named(member.name), hashlib.sha256()
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("xb") as file:
        while data := content.read(CHUNK):
            found.update(data)
            file.write(data)
    if found.hexdigest() != recorded:
        raise UserError(f"{member.name!r} is not what the manifest says (SHA-256)")


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    """One message for whatever is wrong with an archive."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{file}: {error}; not unpacked") from None
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OSError, RecursionError) as error:
        raise UserError(f"{file}: cannot be unpacked ({error}); copy the file again") from error
