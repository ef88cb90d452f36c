"""Pickles of plain data, read without running them: dicts, lists, text, numbers, uint8 arrays.

A pickle is a program. This is an interpreter of the few instructions that the CIFAR archives are
written in; it makes nothing but plain values and refuses every other instruction by its name.
"""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakboard.errors import UserError

ARRAY, NDARRAY, DTYPE, ENCODE = "array", "ndarray", "dtype", "encode"
GLOBALS = {  # names for what this module does in their place; none of them is ever imported
    "numpy.core.multiarray _reconstruct": ARRAY,
    "numpy._core.multiarray _reconstruct": ARRAY,
    "numpy ndarray": NDARRAY,
    "numpy dtype": DTYPE,
    "_codecs encode": ENCODE,  # how Python 3 writes bytes for Python 2
}
VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
WRITTEN = {"BININT", "BININT1", "BININT2", "SHORT_BINSTRING", "BINSTRING", "BINUNICODE"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass
class _Array:
    value: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Global:
    name: str


class _Bytes8:
    """The type of the only arrays there are: uint8."""


def read(data: bytes, name: str) -> dict[str, Any]:
    """The dict that a pickle holds: text -> number, text, list or uint8 array.

    `name` is what messages call it. Raises UserError where it is cut short, damaged, or made of
    anything else. Text of Python 2 comes back as if it were Latin-1.
    """
    try:
        found = _run(data)
        if not isinstance(found, dict):
            raise ValueError(f"holds a {type(found).__name__}, expected a dict")
    except (ValueError, IndexError, KeyError, TypeError, UnicodeError) as error:
        raise UserError(f"{name}: not a pickle of plain data ({error}); not read") from error
    return {key: v.value if isinstance(v, _Array) else v for key, v in found.items()}


def _run(data: bytes) -> Any:
    stack: list[Any] = []
    marked: list[list[Any]] = []  # the stacks below each mark
    memo: dict[int, Any] = {}
    for operation, argument, _ in pickletools.genops(data):
        match operation.name:
            case "PROTO":
                pass
            case "STOP":
                return stack.pop()
            case word if word in VALUES:
                stack.append(VALUES[word])
            case word if word in WRITTEN:
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "MARK":
                marked.append(stack)
                stack = []
            case "TUPLE":
                made, stack = tuple(stack), marked.pop()
                stack.append(made)
            case word if word in TUPLES:
                n = TUPLES[word]
                made, stack[-n:] = tuple(stack[-n:]), []
                stack.append(made)
            case "APPEND":
                item = stack.pop()
                _of(list, stack).append(item)
            case "APPENDS":
                items, stack = stack, marked.pop()
                _of(list, stack).extend(items)
            case "SETITEM":
                items = [stack.pop(-2), stack.pop()]
                _set(_of(dict, stack), items)
            case "SETITEMS":
                items, stack = stack, marked.pop()
                _set(_of(dict, stack), items)
            case "BINPUT" | "LONG_BINPUT":
                memo[int(argument)] = stack[-1]  # type: ignore[arg-type]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[int(argument)])  # type: ignore[arg-type]
            case "GLOBAL":
                if argument not in GLOBALS:
                    raise ValueError(f"it asks for '{argument}'")
                stack.append(_Global(GLOBALS[str(argument)]))
            case "REDUCE":
                given = stack.pop()
                stack.append(_called(stack.pop(), given))
            case "BUILD":
                state = stack.pop()
                _build(stack[-1], state)
            case other:
                raise ValueError(f"it has an instruction {other}")
    raise ValueError("it has no end")


def _of(kind: type[Any], stack: list[Any]) -> Any:
    if type(stack[-1]) is not kind:
        raise ValueError(f"expected a {kind.__name__}, found a {type(stack[-1]).__name__}")
    return stack[-1]


def _set(into: dict[str, Any], items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str):
            raise ValueError(f"expected text as the key of a dict, found a {type(key).__name__}")
        into[key] = value


def _called(what: Any, given: Any) -> Any:
    """What a call of one of GLOBALS makes."""
    match what, given:
        case _Global("encode"), (str(text), "latin1"):
            return text.encode("latin-1")
        case _Global("dtype"), ("u1" | "uint8", *_):
            return _Bytes8()
        case _Global("array"), (_Global("ndarray"), (0,), "b" | b"b"):
            return _Array()
    raise ValueError("it calls something, and not to make an array of uint8")


def _build(made: Any, state: Any) -> None:
    """Fill what was made; of a type of one byte all is known already."""
    match made, state:
        case _Bytes8(), tuple():
            return
        case _Array(), (int(), tuple(shape), _Bytes8(), fortran, str() | bytes() as content):
            raw = content.encode("latin-1") if isinstance(content, str) else content
            if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) != len(raw):
                raise ValueError(f"an array of shape {shape} has {len(raw):,} bytes")
            whole = np.frombuffer(raw, np.uint8)
            made.value = whole.reshape(shape[::-1]).T if fortran else whole.reshape(shape)
            return
    raise ValueError("it builds something that is no array of uint8")
