"""Settings of a profile: in which precision networks answer, and how they are computed.

A precision changes numbers, so it is part of the spec of every job that it changes: another one is
another digest, and a rerun. The others change nothing but rounding, like another processor: they
are no part of a spec, and a job's cost record says which it ran with. Imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import Any

from leakboard.errors import UserError
from leakboard.plugins import did_you_mean

# key -> what it is a setting of, and its values; the first of them where a profile says nothing
PRECISIONS = {
    "precision": ("attack", ("fp32", "tf32", "bf16", "fp16")),
    "sampling_precision": ("samples", ("fp32", "tf32", "bf16", "fp16")),
    "training_precision": ("train", ("fp32", "tf32", "bf16")),
}
LAYOUTS = {
    "memory_format": ("contiguous", "channels-last"),
    "compile": ("no", "default", "cuda-graphs"),
}
EXACT = "fp32"


def take(config: MutableMapping[str, Any], where: str = "config") -> dict[str, str]:
    """stage -> the precision of its networks, where it is not fp32; jobs inherit the rest.

    The keys are removed from Snakemake's `config`. Raises UserError for a value that there is not.
    """
    found = {}
    for key, (stage, values) in PRECISIONS.items():
        value = _one_of(config, key, values, where)
        if value != EXACT:
            found[stage] = value
    for key, values in LAYOUTS.items():
        os.environ[_name(key)] = _one_of(config, key, values, where)
    return found


def layout(key: str) -> str:
    """The setting of a key of LAYOUTS that this job has inherited."""
    return os.environ.get(_name(key), LAYOUTS[key][0])


def precision(spec: Mapping[str, Any]) -> str:
    """In which precision the networks of a job compute."""
    return str(spec.get("precision", EXACT))


def used(spec: Mapping[str, Any]) -> dict[str, str]:
    """What a job's cost record says of all this."""
    return {"precision": precision(spec), **{key: layout(key) for key in LAYOUTS}}


def _one_of(config: MutableMapping[str, Any], key: str, values: tuple[str, ...], where: str) -> str:
    value = config.pop(key, values[0])
    if value is False:  # how YAML reads `no`
        value = "no"
    if value not in values:
        hint = did_you_mean(str(value), values)
        raise UserError(
            f"{where}: {key}: expected one of {', '.join(values)}, got {value!r}; {hint}"
        )
    return str(value)


def _name(key: str) -> str:
    return f"LEAKBOARD_{key.upper()}"
