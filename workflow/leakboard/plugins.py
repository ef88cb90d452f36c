"""Plug-ins by name: the file of a method, the params it takes, and the object itself.

Planning a run must not import torch, so `params` reads a plug-in's source instead of importing it:
the fields of its dataclass are its params, and their annotations are checked before any job runs.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import keyword
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal

import annotated_types
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, create_model

from leakboard.errors import UserError

CLASSES = {  # group -> (folder of the built-in ones, name of the class in each file)
    "datasets": ("data", "Dataset"),
    "trainers": ("trainers", "Trainer"),
    "extractors": ("extractors", "Extractor"),
    "defenses": ("defenses", "Defense"),
    "attacks": ("attacks", "Attack"),
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known word, and all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    return (f"did you mean '{near[0]}'? " if near else "") + f"known: {', '.join(known) or 'none'}"


@cache
def modules(group: str) -> dict[str, str]:
    """method -> module, of the built-in files and of installed packages; a clash is an error."""
    folder, _ = CLASSES[group]
    here = Path(__file__).parent / folder
    found = {
        file.stem.replace("_", "-"): f"leakboard.{folder}.{file.stem}"
        for file in sorted(here.glob("[a-z]*.py"))
    }
    for entry in entry_points(group=f"leakboard.{group}"):
        if entry.name in found:
            raise UserError(
                f"method '{entry.name}' of group leakboard.{group} is provided twice, by "
                f"{found[entry.name]} and by {entry.value}; rename or uninstall one of them"
            )
        found[entry.name] = entry.module
    return found


def module(group: str, method: str) -> str:
    """The module that holds a method; UserError with a did-you-mean where there is none."""
    if method not in modules(group):
        raise UserError(f"unknown method '{method}'; {did_you_mean(method, modules(group))}")
    return modules(group)[method]


@cache
def file(group: str, method: str) -> Path:
    """The source file of a method, found without importing it."""
    spec = importlib.util.find_spec(module(group, method))
    if spec is None or spec.origin is None:
        raise UserError(f"method '{method}' of group leakboard.{group} has no source file")
    return Path(spec.origin)


def load(group: str, method: str, params: Mapping[str, Any]) -> Any:
    """The plug-in itself, made with its params; a param it refuses is a UserError."""
    kind = getattr(importlib.import_module(module(group, method)), CLASSES[group][1])
    try:
        return kind(**{field(key): value for key, value in params.items()})
    except (TypeError, ValueError) as error:
        raise UserError(f"{group}: method '{method}' refuses its params: {error}") from error


def field(param: str) -> str:
    """The dataclass field of a param: `lambda_` of `lambda`, which Python keeps for itself."""
    return f"{param}_" if keyword.iskeyword(param) else param


def params(group: str, method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """All params of a method, given and default, checked by type and range.

    Raises UserError naming each wrong key; the caller adds file and entry.
    """
    model, fields = _model(group, method)
    try:
        complete = model(**values).model_dump()
    except ValidationError as error:
        lines: dict[str, str] = {}
        for problem in error.errors():
            key = str(problem["loc"][0])
            if problem["type"] == "extra_forbidden":
                lines[key] = f"unknown param; {did_you_mean(key, fields)}"
            elif problem["type"] == "missing":
                lines[key] = f"missing; expected {fields[key]}"
            elif len(problem["loc"]) > 1:  # of several types, or of a list: say what is wanted
                lines[key] = f"expected {fields[key]}, got {values[key]!r}"
            else:
                lines[key] = f"{problem['msg']}, got {problem.get('input')!r}"
        raise UserError("\n".join(f"params.{key}: {said}" for key, said in lines.items())) from None
    for small, large in (constant(group, method, "at_most") or {}).items():
        if complete[small] > complete[large]:
            raise UserError(
                f"params.{small}: expected at most params.{large} ({complete[large]}), got "
                f"{complete[small]}"
            )
    return complete


def constant(group: str, method: str, name: str) -> Any:
    """The literal value of a class attribute of a plug-in, read without importing it; or None."""
    for node in _body(group, method):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name and node.value is not None:
            return ast.literal_eval(node.value)
    return None


def about(group: str, method: str) -> str:
    """What the class of a plug-in says of itself, read without importing it."""
    tree = ast.parse(file(group, method).read_text(encoding="utf-8"))
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    found = next((c for c in classes if c.name == CLASSES[group][1]), None)
    return (ast.get_docstring(found) if found else None) or ""


def _body(group: str, method: str) -> list[ast.Assign | ast.AnnAssign]:
    path = file(group, method)
    return _parsed(path, CLASSES[group][1], path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, name: str, changed: int) -> list[ast.Assign | ast.AnnAssign]:
    """The assignments in a class, of a file that was last changed at this time."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return [n for n in node.body if isinstance(n, ast.Assign | ast.AnnAssign)]
    raise UserError(f"{path}: expected a class named '{name}'; define it in this file")


@cache
def _model(group: str, method: str) -> tuple[Any, dict[str, str]]:
    fields: dict[str, Any] = {}
    texts: dict[str, str] = {}  # the annotations, for messages
    for node in _body(group, method):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if "ClassVar" not in ast.unparse(node.annotation):
            default = ast.literal_eval(node.value) if node.value is not None else ...
            name = node.target.id
            name = name[:-1] if keyword.iskeyword(name[:-1]) else name  # see `field`
            fields[name] = (_type(node.annotation), default)
            texts[name] = ast.unparse(node.annotation)
    # Params may begin with `model_`, which pydantic reserves unless told otherwise.
    settings = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(method, __config__=settings, **fields), texts


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")
    return value


PLAIN: dict[str, Any] = {
    "int": Annotated[int, BeforeValidator(_no_bool)],
    "float": Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)],
    "str": str,
    "bool": bool,
    "None": NoneType,
}
BOUNDS = {name: getattr(annotated_types, name) for name in ("Gt", "Ge", "Lt", "Le", "MinLen")}


def _type(node: ast.expr) -> Any:
    """The type that an annotation means; anything unusual is left to the plug-in to check."""
    match node:
        case ast.Name(id=name) if name in PLAIN:
            return PLAIN[name]
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _type(left) | _type(right)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            return Literal[ast.literal_eval(values)]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, *_])):
            return tuple[_type(item), ...]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[kind, *marks])):
            return Annotated[_type(kind), *(m for m in map(_bound, marks) if m is not None)]
    return Any


def _bound(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=name), args=[value]) if name in BOUNDS:
            return BOUNDS[name](ast.literal_eval(value))
    return None


def defaults(group: str, method: str) -> dict[str, Any]:
    """param -> its default, "required" where it must be given."""
    model, fields = _model(group, method)
    found = ((name, model.model_fields[name]) for name in fields)
    return {name: "required" if f.is_required() else f.default for name, f in found}
