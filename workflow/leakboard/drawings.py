"""What the board shows of extraction attacks, by name: pure functions of the plan's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leakboard.attackers import Attackers
from leakboard.names import PLAIN


def strengths(names: Attackers, family: str) -> list[tuple[float, str]]:
    """(lambda, attack) of a grid of strengths, in the order of the config; empty if it is none."""
    found: list[tuple[Any, str]] = [
        (entry.params.get("lambda"), name) for name, entry in names.kin(family)
    ]
    each = [strength for strength, _ in found]
    return found if len(found) > 1 and any(each) and None not in each else []


def curves(names: Attackers) -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    """(attack, sees, defense, [(access, target), ...]) of each ROC curve: whose scores it is of."""
    return [
        (attack, sees, defense, names.scored(sees, defense, names.asks(attack)))
        for attack, sees in names.attacks
        if sees != "nothing"
        for defense in names.audited(attack, sees)
    ]


def contenders(names: Attackers) -> list[dict[str, str]]:
    """The extraction attacks of a board, a grid of strengths as one.

    First who draws plainly, which the others must beat; last who picks among what it draws: all it
    draws is what anybody draws.

    attack, sees: as in its rows; metric: what `ams:`, `ums:` and so on stand before; plain: the
    same for plain pictures of as many as its own, "" where it draws otherwise and has none beside
    it; keeps: what `precision:` stands before, "" for an attack that keeps all it draws.
    """
    space, found = names.track.evaluation.copies, []
    copy = f"copy:{space}"
    for family, sees in names.extractions:
        if strengths(names, family):
            told = {"metric": f"{copy}:best", "plain": f"{copy}:best-random", "keeps": ""}
            found.append({"attack": family, "sees": sees, **told})
            continue
        for attack, _ in names.kin(family):
            plain = copy if names.sampler(attack) == PLAIN else ""
            told = {"metric": copy, "plain": plain, "keeps": space if names.keeps(attack) else ""}
            found.append({"attack": attack, "sees": sees, **told})
    return sorted(found, key=order)


def order(contender: Mapping[str, str]) -> tuple[bool, bool]:
    """What contenders are sorted by."""
    return bool(contender["keeps"]), contender["plain"] != contender["metric"]


def grids(names: Attackers) -> list[dict[str, Any]]:
    """Every grid of strengths: who attacks whom with which lambda, and who draws the same plainly.

    plain: defense -> (attack, sees) of lambda = 0. That attack must draw from the same sources: an
    attacker who sees the predictor draws past a screen.
    """
    alone = [
        (attack, sees)
        for attack, sees in names.extractions
        if attack in names.board.attacks and names.sampler(attack) == PLAIN
    ]
    found = []
    for family, sees in names.extractions:
        grid = sorted(strengths(names, family))
        if not grid:
            continue
        plain: dict[str, tuple[str, str]] = {}
        defenses = names.attacked(grid[0][1])
        for defense in defenses:
            same = [
                (attack, by)
                for attack, by in alone
                if defense in names.attacked(attack)
                and names.sources(by, defense) == names.sources(sees, defense)
            ]
            plain |= {defense: same[0]} if same and grid[0][0] else {}
        who = {"family": family, "sees": sees, "defenses": defenses}
        found.append({**who, "attacks": grid, "plain": plain})
    return found
