"""Reading the configuration: overrides merged, sweeps expanded, every name and size checked.

`read` turns the two YAML levels (config/config.yaml and config/tracks/*.yaml) into resolved tracks,
or stops with one message that has a line for every wrong file and key. Imports nothing heavy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import ValidationError

from leakboard import folders, plugins
from leakboard.checks import check
from leakboard.config import Architecture, Resolved, Shared, Track, Training
from leakboard.entries import Attack, Defense, Entry, Extractor, Network
from leakboard.errors import UserError
from leakboard.kinds import accesses

# section -> (its type, the key of its method, the plug-in group of its methods)
GROUPS: dict[str, tuple[type[Entry], str, str]] = {
    "networks": (Network, "trainer", "trainers"),
    "extractors": (Extractor, "method", "extractors"),
    "defenses": (Defense, "method", "defenses"),
    "attacks": (Attack, "method", "attacks"),
}


RESERVED = {"logs", "incomplete"}  # folders of results/ that are no track's


def read(shared: Mapping[str, Any], where: str, folders: Sequence[Path]) -> dict[str, Resolved]:
    """The resolved tracks by name.

    `shared` is the content of config/config.yaml (`where` names it in messages), `folders` are the
    places in which config/tracks/<name>.yaml is looked for, first hit wins.
    Raises UserError with one line per problem: file, key, what was expected.
    """
    common = _validate(Shared, shared, where)
    for name in RESERVED.intersection(common.tracks):
        raise UserError(f"{where}: tracks: results/{name} is not for a track; name it otherwise")
    return {name: _resolve(name, shared, where, folders) for name in common.tracks}


def _resolve(name: str, raw: Mapping[str, Any], where: str, folders: Sequence[Path]) -> Resolved:
    here = f"config/tracks/{name}.yaml"
    track = _validate(Track, _content(name, f"{where}: tracks", folders), here)
    both = f"{where} or {here}"
    entries = _all(
        partial(_entries, section, raw[section], getattr(track, section), here, both)
        for section in GROUPS
    )
    sections = dict(zip(GROUPS, entries, strict=True))
    sections["attacks"] = dict(_against(sections, {*raw["defenses"], *track.defenses}))
    networks = {
        key: entry.model_copy(update={"training": _training(track, key, entry, both)})
        for key, entry in sections["networks"].items()
    }
    params = _params("datasets", track.dataset.method, track.dataset.params, f"{here}: dataset")
    dataset = track.dataset.model_copy(update={"params": params})
    update = {"dataset": dataset, "architecture": _architecture(track, here)}
    board = Resolved(
        name=name,
        track=track.model_copy(update=update),
        **{**sections, "networks": networks},
    )
    _all(partial(_raise, problem) for problem in check(board, both, here))
    return board


def _content(name: str, asked: str, folders: Sequence[Path], below: tuple[str, ...] = ()) -> Any:
    """What a track's file says, laid over the track that it extends, if it does.

    `asked` is the file and key that named the track, `below` are the tracks that extend it.
    """
    content = _loaded(name, asked, folders)
    if not isinstance(content, Mapping) or content.get("extends") is None:
        return content
    here, other = f"config/tracks/{name}.yaml: extends", content["extends"]
    if not isinstance(other, str):
        raise UserError(f"{here}: expected the name of a track, got {other!r}")
    if other in (name, *below):
        raise UserError(f"{here}: '{other}' extends itself: {' -> '.join([*below, name, other])}")
    own = {key: value for key, value in content.items() if key != "extends"}
    base = _content(other, here, folders, (*below, name))
    return _merge(_without_dataset(base, own), own) if isinstance(base, Mapping) else own


def _without_dataset(base: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """`base` without its dataset where `own` names another: params and crops are of one alone."""
    theirs, ours = (part.get("dataset") for part in (base, own))
    if not (isinstance(theirs, Mapping) and isinstance(ours, Mapping)):
        return base
    if ours.get("method", theirs.get("method")) == theirs.get("method"):
        return base
    return {key: value for key, value in base.items() if key != "dataset"}


def _loaded(name: str, asked: str, folders: Sequence[Path]) -> Any:
    tried = [folder / "config" / "tracks" / f"{name}.yaml" for folder in folders]
    path = next((p for p in tried if p.is_file()), None)
    if path is None:
        known = sorted({f.stem for p in tried for f in p.parent.glob("*.yaml")})
        raise UserError(f"{asked}: '{name}' not found; {plugins.did_you_mean(name, known)}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"config/tracks/{name}.yaml: not valid YAML: {error}") from error


def _entries(
    section: str, shared: Mapping[str, Any], changes: Mapping[str, Any], here: str, both: str
) -> dict[str, Any]:
    """The complete entries of a section: shared ones with a track's changes, sweeps expanded."""
    kind, method, group = GROUPS[section]
    for key, change in changes.items():
        needed = {name for name, field in kind.model_fields.items() if field.is_required()}
        if key not in shared and (change is None or not needed <= change.keys()):
            hint = plugins.did_you_mean(key, shared)
            raise UserError(
                f"{here}: {section}.{key}: no such entry to change, and too little for a new one "
                f"(it needs {', '.join(sorted(needed))}); {hint}"
            )
    merged = {key: entry for key, entry in _merge(shared, changes).items() if entry is not None}

    def complete(key: str, content: Any) -> tuple[str, Any]:
        entry = _validate(kind, content, both, (section, key))
        at = f"{both}: {section}.{key}"
        params = _params(group, getattr(entry, method), entry.params, at, method)
        update: dict[str, Any] = {"params": params}
        if isinstance(entry, Attack) and not entry.sees:
            update["sees"] = list(accesses(entry.method))
        return key, entry.model_copy(update=update)

    expanded = _sweep(section, merged, both)
    return dict(_all(partial(complete, *item) for item in expanded))


def _against(sections: Mapping[str, Any], known: set[str]) -> Iterator[tuple[str, Attack]]:
    """The attacks, with `against` as defenses that are there; gone if a track leaves out them all.

    A swept defense stands for all its entries; `known` are the defenses before sweeps.
    """
    there = sections["defenses"]
    made = {
        name: [entry for entry in there if entry.startswith(f"{name}.") and entry not in known]
        for name in known - there.keys()
    }
    for name, attack in sections["attacks"].items():
        against = [entry for each in attack.against for entry in made.get(each, [each])]
        if against or not attack.against:
            yield name, attack.model_copy(update={"against": against})


def _all(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """The results of all calls; their UserErrors, if any, as one with a line for each."""
    results, lines = [], []
    for call in calls:
        try:
            results.append(call())
        except UserError as error:
            lines += str(error).split("\n")
    if lines:
        raise UserError("\n".join(dict.fromkeys(lines)))
    return results


def _raise(problem: str) -> None:
    raise UserError(problem)


def _validate(model: type[Any], content: Any, where: str, at: tuple[str, ...] = ()) -> Any:
    """`content` as a `model`, or a UserError with one line per wrong key."""
    if not isinstance(content, Mapping):
        place = f"{where}: {'.'.join(at)}" if at else where
        raise UserError(f"{place}: expected keys and values, got {content!r}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            loc = tuple(part for part in problem["loc"] if part != "[key]")
            key = ".".join(map(str, (*at, *loc)))
            if problem["type"] == "extra_forbidden":
                hint = plugins.did_you_mean(str(loc[-1]), _keys(model, loc[:-1]))
                lines.append(f"{where}: {key}: unknown key; {hint}")
            elif problem["type"] == "missing":
                lines.append(f"{where}: {key}: missing")
            else:
                lines.append(f"{where}: {key}: {problem['msg']}, got {problem.get('input')!r}")
        raise UserError("\n".join(lines)) from None


def _keys(model: Any, path: tuple[str | int, ...]) -> list[str]:
    """The keys allowed at `path` inside a model."""
    for part in path:
        if get_origin(model) is dict:
            model = get_args(model)[1]
        else:
            model = model.model_fields[part].annotation
        if get_origin(model) in (Union, UnionType):  # of a section and null
            (model,) = (kind for kind in get_args(model) if kind is not NoneType)
    return list(model.model_fields)


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `change` laid over it, dictionaries inside one another too."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and key != "sweep":
            value = _merge(old, value)
        merged[key] = value
    return merged


def _sweep(section: str, entries: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """One entry per combination of swept values, named by the swept values alone."""
    for name, entry in entries.items():
        swept = entry.get("sweep") if isinstance(entry, Mapping) else None
        if not swept:
            yield name, entry
            continue
        lists = swept.values() if isinstance(swept, Mapping) else [None]
        if not all(isinstance(values, list) and values for values in lists):
            raise UserError(
                f"{where}: {section}.{name}.sweep: expected a list of values for each param"
            )
        for values in itertools.product(*swept.values()):
            chosen = dict(zip(swept, values, strict=True))
            suffix = ",".join(f"{key}={_word(value)}" for key, value in chosen.items())
            params = {**entry.get("params", {}), **chosen}
            rest = {key: value for key, value in entry.items() if key != "sweep"}
            kin = {"family": rest.get("family", name)} if _draws(section, entry) else {}
            yield f"{name}.{suffix}", {**rest, **kin, "params": params}


def _draws(section: str, entry: Mapping[str, Any]) -> bool:
    """Whether a raw entry is an extraction attack."""
    method = entry.get("method")
    known = section == "attacks" and method in plugins.modules("attacks")
    return known and bool(plugins.constant("attacks", str(method), "extracts"))


def _word(value: Any) -> str:
    """A value as a part of a name: 0.5, ddim, 100+200."""
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _params(
    group: str, method: str, values: Mapping[str, Any], where: str, key: str = "method"
) -> dict[str, Any]:
    """The complete params of a method; `where` and `key` name its entry in messages."""
    if method not in plugins.modules(group):
        hint = plugins.did_you_mean(method, plugins.modules(group))
        raise UserError(f"{where}.{key}: unknown method '{method}'; {hint}")
    try:
        return plugins.params(group, method, values)
    except UserError as error:
        raise UserError("\n".join(f"{where}.{line}" for line in str(error).split("\n"))) from None


def _architecture(track: Track, here: str) -> Architecture:
    """How large the track's networks are; a denoiser may be built as that of a folder is."""
    own = dict(track.architecture.denoiser)
    if (init := own.pop("init", None)) is None:
        return track.architecture
    try:
        whole = {**folders.architecture(str(init)), **own}
    except UserError as error:
        raise UserError(f"{here}: architecture.denoiser.init: {error}") from error
    return track.architecture.model_copy(update={"denoiser": whole})


def _training(track: Track, name: str, entry: Network, where: str) -> dict[str, Any]:
    merged = _merge(track.training, entry.training)
    return _validate(Training, merged, where, ("networks", name, "training")).model_dump()
