"""Tables that say something of each image file: labels, captions, parts."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leakboard.errors import UserError

WHOLE = re.compile(r"-?[0-9]{1,15}")


def column(path: Path, name: str, files: Sequence[str]) -> list[str]:
    """What a .csv with the columns `file` and `name` says of each file, in the order of `files`.

    UserError where it does not name every file once, or names another.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            rows = list(csv.DictReader(text, strict=True))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not a table in UTF-8 ({error}); save it again as .csv") from error
    found: dict[str, str] = {}
    for line, row in enumerate(rows, 2):
        file, value = row.get("file"), row.get(name)
        if file is None or value is None or None in row:
            raise UserError(f"{path}: row {line}: expected the columns file,{name}")
        if file in found:
            raise UserError(f"{path}: row {line}: '{file}' is named twice")
        found[file] = value
    return told(path, found, files)


def told(path: Path, found: Mapping[str, str], files: Sequence[str]) -> list[str]:
    """What a table says of each file; UserError where the table and the files differ."""
    if missing := [file for file in files if file not in found]:
        raise UserError(f"{path}: says nothing of '{missing[0]}' ({len(missing)} such); add it")
    if extra := sorted(found.keys() - set(files)):
        raise UserError(f"{path}: '{extra[0]}' is not there ({len(extra)} such); remove its row")
    return [found[file] for file in files]


def lines(path: Path, files: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A table as CelebA has them: words, the first of which names a file.

    (words of the lines before that name no file, file -> the words after it). Commas count as
    spaces. UserError where one of the files is not in it.
    """
    try:
        rows = [row.replace(",", " ").split() for row in path.read_text("utf-8").splitlines()]
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    known = set(files)
    found = {row[0]: row[1:] for row in rows if row and row[0] in known}
    if missing := [file for file in files if file not in found]:
        raise UserError(f"{path}: says nothing of '{missing[0]}' ({len(missing)} such)")
    head = [word for row in rows[:2] if row and row[0] not in known for word in row]
    return head, found


def classes(words: Sequence[str]) -> NDArray[np.int64]:
    """Labels (n,): whole numbers as they are; other words numbered from 0 in sorted order."""
    if all(WHOLE.fullmatch(word) for word in words):
        return np.array([int(word) for word in words], np.int64)
    return np.unique(np.array(words), return_inverse=True)[1].astype(np.int64)
