"""Downloads: a file from the first mirror that has it, resumed where it broke off, verified."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from leakboard.catalog import File
from leakboard.errors import UserError
from leakboard.files import sha256, write_bytes

CHUNK = 2**20
TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS = 5  # at one mirror, as long as each brings something new
BROKEN = (OSError, http.client.HTTPException)  # urllib's errors are OSErrors


class Refused(Exception):
    """Why a mirror's file is not taken."""


def fetch(urls: Sequence[str], to: Path, file: File, name: str) -> str:
    """Download a file from the first of several mirrors that has it; its SHA-256.

    What came before a break is kept in `to`.part, and the next call goes on there. Raises UserError
    that says of each mirror what was wrong; then `to` is not there.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    part, said = to.with_name(f"{to.name}.part"), []
    with _alone(part, name):
        for url in urls:
            try:
                _transfer(url, part, file)
                found = checked(part, file)
            except Refused as error:
                part.unlink(missing_ok=True)
                said.append(f"{url}: {error}")
            except BROKEN as error:
                said.append(f"{url}: {error}")
            else:
                part.rename(to)
                _origin(part).unlink(missing_ok=True)
                return found
    left = f"; {part.stat().st_size:,} bytes are kept, fetch again" if part.is_file() else ""
    raise UserError("\n".join([f"{name}: cannot be fetched{left}:", *said]))


def checked(path: Path, file: File) -> str:
    """The SHA-256 of a file; Refused, with both hashes, where it is not the one that is known."""
    size = path.stat().st_size
    if file.bytes not in (None, size):
        raise Refused(f"has {size:,} bytes, expected {file.bytes:,}")
    found = sha256(path)
    if file.sha256 not in (None, found):
        raise Refused(f"its SHA-256 is {found}, expected {file.sha256}")
    if file.md5:
        with path.open("rb") as content:
            md5 = hashlib.file_digest(content, "md5").hexdigest()  # as its publisher says it
        if md5 != file.md5:
            raise Refused(f"its MD5 is {md5}, expected {file.md5}")
    return found


def _transfer(url: str, part: Path, file: File) -> None:
    """Bring `part` to the length of the file at `url`."""
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.is_file() else 0
        try:
            return _once(url, part, file)
        except urllib.error.HTTPError:
            raise
        except BROKEN:
            there = part.stat().st_size if part.is_file() else 0
            if there <= before or attempt + 1 == ATTEMPTS:
                raise


def _once(url: str, part: Path, file: File) -> None:
    start = part.stat().st_size if part.is_file() else 0
    origin = _read(_origin(part)) if start else {}
    if start and not file.sha256 and (origin.get("url") != url or not origin.get("tag")):
        start = 0  # two versions of a file would be one that nobody published
    headers = {"User-Agent": "leakboard", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if not file.sha256:
            headers["If-Range"] = origin["tag"]
    try:
        answer = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise
        if error.headers.get("Content-Range") != f"bytes */{start}":
            raise Refused(f"has fewer than the {start:,} bytes that came before") from None
        return  # nothing was left to send
    with answer:
        begins, total = _extent(answer)
        if answer.status == 206 and begins != start:
            raise Refused(f"sends byte {begins:,}, asked for {start:,}")
        start = begins
        if total is not None and file.bytes not in (None, total):
            raise Refused(f"has {total:,} bytes, expected {file.bytes:,}: another file, or a page")
        if (total or 0) - start > shutil.disk_usage(part.parent).free:
            raise Refused(f"has {total:,} bytes, and {part.parent} has too few left")
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        weak = (tag or "").startswith("W/")
        write_bytes(_origin(part), json.dumps({"url": url, "tag": None if weak else tag}).encode())
        with part.open("ab" if start else "wb") as there:
            _copy(answer, there, start, total, file.bytes)


def _copy(
    answer: IO[bytes], to: IO[bytes], done: int, total: int | None, limit: int | None
) -> None:
    say = sys.stderr.isatty()
    while data := answer.read(CHUNK):
        done += len(data)
        if limit is not None and done > limit:
            raise Refused(f"has more than {limit:,} bytes")
        to.write(data)
        if say:
            of = f" of {total / 1e6:,.1f}" if total else ""
            print(f"\r{done / 1e6:,.1f}{of} MB", end="", file=sys.stderr)
    if say:
        print(file=sys.stderr)
    if total is not None and done < total:
        raise OSError(f"broke off after {done:,} of {total:,} bytes")


def _extent(answer: Any) -> tuple[int, int | None]:
    """Where an answer begins in the file, and how long the file is."""
    if answer.status == 206:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if not said:
            raise Refused("sends a part, and does not say which")
        return int(said[1]), None if said[2] == "*" else int(said[2])
    length = answer.headers.get("Content-Length")
    return 0, int(length) if length else None


def _origin(part: Path) -> Path:
    """What is known of where a part came from."""
    return part.with_name(f"{part.name}.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


@contextmanager
def _alone(part: Path, name: str) -> Iterator[None]:
    """Inside, no other process fetches the same file."""
    with part.with_name(f"{part.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{name}: is being fetched by another process; wait for it") from None
        yield
