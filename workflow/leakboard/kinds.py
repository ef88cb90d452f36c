"""What things of the configuration are: kinds of networks, what attacks can query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from leakboard import plugins
from leakboard.config import Resolved
from leakboard.entries import Network

KINDS = ("denoiser", "classifier", "encoder", "student")


def trains(network: Network) -> str:
    """What a network is: "denoiser", "classifier" (of noised images) or "encoder"."""
    return str(plugins.constant("trainers", network.trainer, "trains"))


def conditional(network: Network) -> bool:
    """Whether a network is a denoiser that knows classes."""
    return bool(plugins.constant("trainers", network.trainer, "conditional"))


def accesses(attack: str) -> tuple[str, ...]:
    """What a method of attack can query: the raw networks, the defended predictor, a service.

    Or nothing at all: who sees no model tells about the split.
    """
    return tuple(plugins.constant("attacks", attack, "sees") or ("weights", "predictor"))


def encoder(board: Resolved, network: str) -> list[str]:
    """The networks in whose feature spaces a network's pool is deduplicated, or labeled.

    Names that do not exist are left out: `check` says so.
    """
    entry = board.networks[network.partition("@")[0]]
    named = [each.extractor for each in (entry.dedup, entry.labels) if each]
    spaces = (board.extractors.get(name) for name in named if name)
    return [space.network for space in spaces if space and space.network]


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """What is said of a name that is not there."""
    return f"no {what} '{name}'; {plugins.did_you_mean(name, known)}"


def expect(networks: Mapping[str, Network], name: str, kind: str) -> Iterator[str]:
    """What is wrong with a network's name where one of a kind is expected."""
    if name not in networks:
        yield unknown(name, networks, "network")
    elif (found := trains(networks[name])) != kind:
        yield f"'{name}' is a {found}, expected a {kind}"


def wanted(method: str, uses: bool, what: str) -> str:
    """What is said of a key that a method needs, or does not use."""
    return f"method '{method}' {'needs' if uses else 'uses no'} {what}"
