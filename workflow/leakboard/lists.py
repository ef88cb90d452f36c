"""Specs that are told item by item (`LISTS` of a stage, see `leakboard.stages`), cut and joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leakboard.digests import canonical
from leakboard.errors import UserError

Lists = Mapping[str, Sequence[str]]  # key of the spec -> inputs that go along, item by item
Files = Mapping[str, Sequence[Any]]  # name of input -> files


def blocks(lists: Lists, spec: Mapping[str, Any], files: Files, key: str) -> list[dict[str, Any]]:
    """Of each item of `spec[key]` the files that go along: name -> as many as of any other."""
    items, found = spec[key], []
    for i in range(len(items)):
        each = {}
        for name in lists[key]:
            size, rest = divmod(len(files[name]), len(items))
            if rest:
                raise ValueError(f"{len(files[name])} files of {name} for {len(items)} of {key}")
            each[name] = list(files[name][size * i : size * (i + 1)])
        found.append(each)
    return found


def cut(
    lists: Lists,
    spec: Mapping[str, Any],
    files: Files,
    keep: Callable[[Any, Sequence[Any]], bool],
) -> tuple[dict[str, Any], dict[str, list[Any]], list[Any]]:
    """A spec and its files without the items that `keep` (of item and its files) refuses; those."""
    new, left = dict(spec), {name: list(paths) for name, paths in files.items()}
    lost = []
    for key in (key for key in lists if lists[key] and key in spec):
        pairs = list(zip(spec[key], blocks(lists, spec, files, key), strict=True))
        good = [(i, b) for i, b in pairs if keep(i, [f for some in b.values() for f in some])]
        lost += [item for item, block in pairs if (item, block) not in good]
        new[key] = [item for item, _ in good]
        left |= {name: [f for _, b in good for f in b[name]] for name in lists[key]}
    return new, left, lost


def join(
    lists: Lists, specs: Sequence[Mapping[str, Any]], given: Sequence[Files], where: Sequence[str]
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """One spec of several, and its files: lists told item by item are united, all else is equal.

    Items keep their order, the first spec's first. Raises UserError naming a key that two of
    `where` (the places that the specs are from) give different values, or two files of one item,
    or a file to one and several to another.
    """
    spec, origin = dict(specs[0]), where[0]
    files = {name: list(paths) for name, paths in given[0].items()}
    for other, more, place in zip(specs[1:], given[1:], where[1:], strict=True):
        for key in (key for key in lists if lists[key] and key in spec):
            names = lists[key]
            old = dict(zip(map(canonical, spec[key]), blocks(lists, spec, files, key), strict=True))
            new = blocks(lists, other, more, key)
            for name in names:
                sizes = {len(block[name]) for block in (*old.values(), *new)}
                if len(sizes) > 1:
                    many = f"{min(sizes)} and {max(sizes)} files for one of {key}"
                    raise UserError(
                        f"{name}: {many} in {origin} and {place}; give both the same `shards`"
                    )
            for item, block in zip(other[key], new, strict=True):
                if old.setdefault(canonical(item), block) != block:
                    raise UserError(f"{key}: {item} has other files in {origin} than in {place}")
            files |= {name: [f for block in old.values() for f in block[name]] for name in names}
        for name in more.keys() - {name for names in lists.values() for name in names}:
            files[name] = _each([*files.get(name, []), *more[name]])
        spec = _united(lists, spec, other, "", (origin, place))
    return spec, files


def _united(lists: Lists, one: Any, other: Any, key: str, where: tuple[str, str]) -> Any:
    """Dictionaries by their keys, lists told item by item as sets in order, all else if equal."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        pairs = {name: (one.get(name, value), value) for name, value in other.items()}
        inner = {
            name: _united(lists, *pair, f"{key}.{name}".lstrip("."), where)
            for name, pair in pairs.items()
        }
        return {**one, **inner}
    if key.rpartition(".")[2] in lists and isinstance(one, list) and isinstance(other, list):
        return _each([*one, *other])
    if one != other:
        raise UserError(f"{key}: {one!r} in {where[0]}, {other!r} in {where[1]}")
    return one


def _each(items: Sequence[Any]) -> list[Any]:
    return list({canonical(item): item for item in items}.values())
