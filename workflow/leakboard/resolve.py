"""Reading the configuration: overrides merged, sweeps expanded, every name and size checked.

`read` turns the two YAML levels (config/config.yaml and config/tracks/*.yaml) into resolved tracks,
or stops with one message that names every wrong file and key. Imports nothing heavy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from leakboard import plugins
from leakboard.config import (
    Attack,
    Dataset,
    Defense,
    Entry,
    Extractor,
    Network,
    Resolved,
    Shared,
    Track,
    Training,
)
from leakboard.errors import UserError

GROUPS: dict[str, tuple[type[Entry], str]] = {  # section -> (its type, the key of its method)
    "networks": (Network, "trainer"),
    "extractors": (Extractor, "method"),
    "defenses": (Defense, "method"),
    "attacks": (Attack, "method"),
}


def read(shared: Mapping[str, Any], where: str, folders: Sequence[Path]) -> dict[str, Resolved]:
    """The resolved tracks by name.

    `shared` is the content of config/config.yaml (`where` names it in messages), `folders` are the
    places in which config/tracks/<name>.yaml is looked for, first hit wins.
    Raises UserError with one line per problem: file, key, what was expected.
    """
    common = _validate(Shared, shared, where)
    return {name: _resolve(name, common, shared, where, folders) for name in common.tracks}


def _resolve(
    name: str, common: Shared, raw: Mapping[str, Any], where: str, folders: Sequence[Path]
) -> Resolved:
    tried = [folder / "config" / "tracks" / f"{name}.yaml" for folder in folders]
    path = next((p for p in tried if p.is_file()), None)
    if path is None:
        known = sorted({f.stem for p in tried for f in p.parent.glob("*.yaml")})
        raise UserError(f"{where}: tracks: '{name}' not found; {plugins.did_you_mean(name, known)}")
    here = f"config/tracks/{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{here}: not valid YAML: {error}") from error
    track = _validate(Track, content, here)
    both = f"{where} or {here}"
    sections: dict[str, dict[str, Any]] = {}
    for section, (kind, _) in GROUPS.items():
        entries = _merge(raw.get(section) or {}, getattr(track, section))
        present = {key: entry for key, entry in entries.items() if entry is not None}
        sections[section] = {
            key: _validate(kind, entry, both, (section, key))
            for key, entry in _sweep(present, f"{both}: {section}")
        }
    _check_names(sections, track, both)
    for section, (_, method) in GROUPS.items():
        sections[section] = {
            key: _complete(section, entry, method, both, key)
            for key, entry in sections[section].items()
        }
    networks = {
        key: entry.model_copy(update={"training": _training(track, key, entry, both)})
        for key, entry in sections.pop("networks").items()
    }
    dataset = track.dataset.model_copy(
        update={"params": _params("datasets", track.dataset.method, track.dataset.params, here)}
    )
    _check_sizes(track, dataset, here)
    return Resolved(
        name=name,
        track=track.model_copy(update={"dataset": dataset}),
        networks=networks,
        **sections,
    )


def _validate(model: type[Any], content: Any, where: str, at: tuple[str, ...] = ()) -> Any:
    """`content` as a `model`, or a UserError with one line per wrong key."""
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: expected keys and values, got {content!r}")
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


def _sweep(entries: Mapping[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """One entry per combination of swept values, named by the swept values alone."""
    for name, entry in entries.items():
        swept = entry.get("sweep") if isinstance(entry, Mapping) else None
        if not swept:
            yield name, entry
            continue
        if not all(isinstance(values, list) and values for values in swept.values()):
            raise UserError(f"{where}.{name}.sweep: expected a list of values for each param")
        for values in itertools.product(*swept.values()):
            chosen = dict(zip(swept, values, strict=True))
            suffix = ",".join(f"{key}={value}" for key, value in chosen.items())
            params = {**entry.get("params", {}), **chosen}
            rest = {key: value for key, value in entry.items() if key != "sweep"}
            yield f"{name}.{suffix}", {**rest, "params": params}


def _params(group: str, method: str, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        return plugins.params(group, method, values)
    except UserError as error:
        raise UserError("\n".join(f"{where}: {line}" for line in str(error).split("\n"))) from None


def _complete(section: str, entry: Any, method: str, where: str, key: str) -> Any:
    """The entry with every param of its method, given or default."""
    group = "trainers" if section == "networks" else section
    at = f"{where}: {section}.{key}"
    return entry.model_copy(
        update={"params": _params(group, getattr(entry, method), entry.params, at)}
    )


def _training(track: Track, name: str, entry: Network, where: str) -> dict[str, Any]:
    merged = _merge(track.training, entry.training)
    return _validate(Training, merged, where, ("networks", name, "training")).model_dump()


def trains(network: Network) -> str:
    """What a network is: "denoiser", "classifier" (of noised images) or "encoder"."""
    kind = plugins.constant("trainers", network.trainer, "trains")
    if kind not in ("denoiser", "classifier", "encoder"):
        raise UserError(f"trainer '{network.trainer}': its class must say what it `trains`")
    return kind


def _check_names(sections: Mapping[str, dict[str, Any]], track: Track, where: str) -> None:
    """Every name that is used is defined, is of the right kind, and no network teaches itself."""
    networks = sections["networks"]

    def expect(name: str, key: str, kind: str | None = None) -> None:
        if name not in networks:
            hint = plugins.did_you_mean(name, networks)
            raise UserError(f"{where}: {key}: no network '{name}'; {hint}")
        if kind and (found := trains(networks[name])) != kind:
            raise UserError(f"{where}: {key}: '{name}' is a {found}, expected a {kind}")

    for name, network in networks.items():
        for data, teacher in network.teachers.items():
            expect(teacher, f"networks.{name}.teachers.{data}")
        if network.init and network.init not in networks and not Path(network.init).is_dir():
            hint = plugins.did_you_mean(network.init, networks)
            raise UserError(
                f"{where}: networks.{name}.init: '{network.init}' is neither a network nor a "
                f"diffusers folder; {hint}"
            )
        _check_cycle(name, networks, where)
    for name, extractor in sections["extractors"].items():
        if extractor.network:
            expect(extractor.network, f"extractors.{name}.network", "encoder")
    for name, defense in sections["defenses"].items():
        for denoiser in defense.denoisers:
            expect(denoiser, f"defenses.{name}.denoisers", "denoiser")
        if defense.classifier:
            expect(defense.classifier, f"defenses.{name}.classifier", "classifier")
    if "none" not in sections["defenses"]:
        raise UserError(f"{where}: defenses: 'none' is missing; every board needs it to compare")
    judges = track.evaluation
    for name in {*judges.extractors, judges.copies, judges.quality}:
        if name not in sections["extractors"]:
            hint = plugins.did_you_mean(name, sections["extractors"])
            raise UserError(f"{where}: evaluation: no extractor '{name}'; {hint}")
    if judges.copies not in judges.extractors:
        raise UserError(
            f"{where}: evaluation.copies: '{judges.copies}' must be one of evaluation.extractors"
        )


def _check_cycle(name: str, networks: Mapping[str, Network], where: str) -> None:
    path, stack = [name], [(name, [name])]
    while stack:
        here, path = stack.pop()
        entry = networks[here]
        for needed in (*entry.teachers.values(), *filter(None, [entry.init])):
            if needed == name:
                raise UserError(
                    f"{where}: networks.{name}: is needed for its own training: "
                    f"{' -> '.join([*path, needed])}"
                )
            if needed in networks and needed not in path:
                stack.append((needed, [*path, needed]))


def _check_sizes(track: Track, dataset: Dataset, where: str) -> None:
    size = plugins.constant("datasets", dataset.method, "size")
    wanted = track.subset.members + track.subset.held_out
    if size is not None and wanted > size:
        raise UserError(
            f"{where}: subset: members + held_out = {wanted}, but dataset '{dataset.method}' has "
            f"{size} images; ask for fewer"
        )
    if track.subset.members < track.evaluation.neighbors:
        raise UserError(
            f"{where}: evaluation.neighbors: {track.evaluation.neighbors} neighbors among "
            f"{track.subset.members} members; set it to at most {track.subset.members}"
        )
