"""Files that are either whole or not there."""

import glob
import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ABANDONED = 6 * 3600.0  # seconds without a write after which nobody is writing any more


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends well and removed otherwise.

    Works for a file and for a folder. Parent folders are made. The temporary name keeps the
    ending, which some writers look at. An OSError that names no file is given `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f".tmp-{platform.node()}-{os.getpid()}-{path.name}")
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)  # a folder cannot be moved onto one that is not empty
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)) and error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        _remove(temporary)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`; a reader sees the old file or the new one, never a part."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sweep(path: Path) -> None:
    """Remove what killed processes left of `path`: of this machine, or of any long ago."""
    name = re.compile(rf"\.tmp-(.+)-(\d+)-{re.escape(path.name)}")
    for left in path.parent.glob(f".tmp-*-{glob.escape(path.name)}"):
        if found := name.fullmatch(left.name):
            ours = found[1] == platform.node()
            with suppress(FileNotFoundError):  # another job sweeps, too
                if (ours and not psutil.pid_exists(int(found[2]))) or _age(left) > ABANDONED:
                    _remove(left)


def _age(path: Path) -> float:
    """Seconds since anything was written to a file, or in a folder."""
    return time.time() - max(file.lstat().st_mtime for file in (path, *path.rglob("*")))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
