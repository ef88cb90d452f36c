"""Records: what the tables and pictures of a track were made from, so that they can be made again.

{"stage", "spec": the whole of it, "inputs": name -> [[path, SHA-256], ...], "outputs": name ->
path}; one file for each stage of a track.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from leakboard.artefacts import csv_text, hashed, json_text, read_json, write_json, write_table
from leakboard.errors import UserError
from leakboard.files import write_bytes
from leakboard.stages import Files

Outputs = Mapping[str, str | Path]


def write(outputs: Outputs, spec: Mapping[str, Any], files: Files, made: Mapping[str, Any]) -> None:
    """Write what a stage has made, each output by its name, and under `record` what from."""
    others = {name: path for name, path in outputs.items() if name != "record"}
    contents(others, spec, made)
    record(outputs["record"], spec, files, others)


def contents(outputs: Outputs, spec: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """Write what a stage has made, each output by its name."""
    for name, path in outputs.items():
        if Path(path).suffix == ".parquet":
            write_table(path, spec, made[name])
        else:
            write_bytes(path, as_bytes(path, made[name]))


def record(
    path: str | Path,
    spec: Mapping[str, Any],
    files: Files,
    outputs: Outputs,
    at: Callable[[str], Path] = Path,
) -> None:
    """Write what outputs were made from; `at` says where the files are, if not at their paths."""
    inputs, named = hashed(files, at), {name: str(output) for name, output in outputs.items()}
    content = {"stage": spec["stage"], "spec": spec, "inputs": inputs, "outputs": named}
    write_json(path, content)


def read(path: str | Path) -> dict[str, Any]:
    """The content of a record; UserError where it is none."""
    content = read_json(path)
    if not isinstance(content, dict) or not {"stage", "spec", "inputs", "outputs"} <= set(content):
        raise UserError(f"{path}: not a record of what a stage made; remove it and run again")
    return content


def as_bytes(path: str | Path, content: Any) -> bytes:
    """What a file of this name holds: tables as CSV, text, JSON, or bytes as they are."""
    match Path(path).suffix:
        case ".csv":
            return csv_text(content).encode()
        case ".json":
            return json_text(content).encode()
    return content if isinstance(content, bytes) else content.encode()
