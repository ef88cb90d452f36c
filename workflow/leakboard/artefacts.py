"""Artefacts: arrays and tables that say which configuration made them, written whole or not at all.

Every file carries `{"digest": ..., "spec": ...}`; readers refuse one whose digest they do not
expect, so nothing made by another configuration is ever measured.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leakboard.digests import canonical, digest
from leakboard.errors import UserError
from leakboard.files import atomic, sha256, write_bytes

if TYPE_CHECKING:
    import pandas as pd


MARKS = ("key", "numbers")  # arrays that say which images are in a file


def about(spec: Any) -> str:
    """What an artefact says of itself, as JSON."""
    return canonical({"digest": digest(spec), "spec": spec})


def write_npz(
    path: str | Path, spec: Any, **arrays: NDArray[Any] | Callable[[], NDArray[Any]]
) -> None:
    """Write named arrays and the spec that made them; equal content gives equal bytes.

    An array given as a function is made when it is written and then let go, so that of several
    large ones only one is in memory.
    """
    with (
        atomic(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, given in {"about": np.array(about(spec)), **arrays}.items():
            array = np.asanyarray(given() if callable(given) else given)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
            del array


def read_npz(
    path: str | Path, expected: str | None = None, names: Iterable[str] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays of a file, whose digest must be the expected one.

    names: those to read, of which some may not be there; else all. Raises UserError where the
    digest is another, or where the file is missing, cut short or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = {"about", *(archive.files if names is None else names)}
            arrays = {key: archive[key] for key in archive.files if key in wanted}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from error
    _check(path, str(arrays.pop("about", "{}")), expected)
    return arrays


def read_rows(path: str | Path, expected: str, name: str, rows: NDArray[np.int64]) -> Any:
    """Some rows of one array of a file, None where it has no such array; see `read_npz`."""
    found = read_npz(path, expected, [name]).get(name)
    return None if found is None else found[rows]


def read_shards(
    paths: Sequence[str | Path], expected: str | None = None, names: Sequence[str] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays of several files, one after another; errors as in `read_npz`.

    Memory for the whole and for one file, however many there are. names: which arrays, else all
    but those that say which images are in a file.
    """
    joined: dict[str, NDArray[Any]] = {}
    done = 0
    for path in paths:
        arrays = read_npz(path, expected)
        wanted = names or [name for name in arrays if name not in MARKS]
        if not joined:
            n = sum(_length(each, wanted[0]) for each in paths)
            joined = {k: np.empty((n, *arrays[k].shape[1:]), arrays[k].dtype) for k in wanted}
        size = len(arrays[wanted[0]])
        for name in wanted:
            joined[name][done : done + size] = arrays.pop(name)
        done += size
    return joined


def read_pictures(paths: Sequence[str | Path], expected: str | None = None) -> NDArray[np.uint8]:
    """The pictures (n, h, w, c) of several files, one after another; see `read_shards`."""
    return read_shards(paths, expected, ["images"])["images"]


def some_pictures(
    paths: Iterable[str | Path], numbers: NDArray[np.int64], expected: str | None = None
) -> NDArray[np.uint8]:
    """The pictures (n, h, w, c) of these numbers, in several files; those there are not, not."""
    found: dict[int, NDArray[np.uint8]] = {}
    for path in paths:
        if len(found) == len(set(numbers.tolist())):
            break
        arrays = read_npz(path, expected)
        places = np.flatnonzero(np.isin(arrays["numbers"], numbers))
        found |= {int(arrays["numbers"][i]): arrays["images"][i] for i in places}
    return np.stack([found[n] for n in numbers.tolist() if n in found])


def first_pictures(
    paths: Iterable[str | Path], count: int, expected: str | None = None
) -> NDArray[np.uint8]:
    """The first so many pictures (n, h, w, c) of several files, or all that there are."""
    return some_pictures(paths, np.arange(count), expected)


def write_table(path: str | Path, spec: Any, table: pd.DataFrame, **more: str) -> None:
    """Write a data frame as Parquet with the spec that made it, and more to say of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.Table.from_pandas(table, preserve_index=False)
    content = content.replace_schema_metadata({"leakboard": about(spec), **more})
    with atomic(path) as temporary:
        pq.write_table(content, temporary)


def read_table(path: str | Path, expected: str | None = None) -> pd.DataFrame:
    """The data frame of a file; errors as in `read_npz`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    metadata = content.schema.metadata or {}
    _check(path, metadata.get(b"leakboard", b"{}").decode(), expected)
    return content.to_pandas()


def csv_text(table: pd.DataFrame) -> str:
    """A data frame as CSV: empty where a value is absent, numbers with all their digits."""
    return table.to_csv(index=False, lineterminator="\n")


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a data frame as CSV: see `csv_text`."""
    write_bytes(path, csv_text(table).encode())


def read_csv(path: str | Path) -> pd.DataFrame:
    """The data frame of a CSV file, every number to its last digit; UserError where damaged."""
    import pandas as pd

    # What newer versions do anyway, and older ones only when they are told.
    exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    try:
        return pd.read_csv(path) if exact else pd.read_csv(path, float_precision="round_trip")
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def json_text(content: Any) -> str:
    """JSON with sorted keys, one value a line."""
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def hashed(
    files: Mapping[str, Sequence[str | Path]], at: Callable[[str], Path] = Path
) -> dict[str, list[list[str]]]:
    """name -> [[path, SHA-256 of its content], ...] of the files that something was made from."""
    return {n: [[str(f), sha256(at(str(f)))] for f in paths] for n, paths in files.items()}


def spec_of(path: str | Path) -> Any:
    """The spec that a file of arrays or a table carries; None where it carries none."""
    try:
        if Path(path).suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return json.loads(str(archive["about"]))["spec"]
        if Path(path).suffix == ".parquet":
            import pyarrow.parquet as pq

            return json.loads((pq.read_schema(path).metadata or {})[b"leakboard"])["spec"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # damaged, as its reader will say
    return None


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON: see `json_text`."""
    write_bytes(path, json_text(content).encode())


def read_json(path: str | Path) -> Any:
    """The content of a JSON file; UserError where it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _length(path: str | Path, name: str) -> int:
    """How many rows an array of a file has, read from its header alone."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            np.lib.format.read_magic(file)
            return np.lib.format.read_array_header_1_0(file)[0][0]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from error


def _check(path: str | Path, said: str, expected: str | None) -> None:
    content: Mapping[str, Any] = json.loads(said)
    if expected is not None and content.get("digest") != expected:
        raise UserError(
            f"{path}: made by another configuration (digest {content.get('digest')}, expected "
            f"{expected}); remove it and run again"
        )


def _damaged(path: str | Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: cannot be read ({error}); it is missing, cut short or damaged: remove it and "
        f"run again"
    )
