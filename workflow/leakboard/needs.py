"""Which artefacts a job needs, by name: pure functions of the plan, for the rules to make paths of.

Each takes the plan and the job's own names (its wildcards) and returns one dictionary of names per
artefact; names that the job has itself need not be repeated.
"""

from __future__ import annotations

from typing import Any

from leakboard.plan import PLAIN, Plan

Names = list[dict[str, Any]]


def init(plan: Plan, network: str, **_: Any) -> Names:
    """The network that a training starts from, if it is made here."""
    return [{"network": name} for name in plan.init_of(network)]


def teachers(plan: Plan, network: str, seed: str | int, **_: Any) -> Names:
    """The networks that teach a training."""
    taught = plan.teachers_of(network)
    return [{"network": name, "seed": plan.seed_of(name, int(seed))} for name in taught]


def dedup(plan: Plan, network: str, **_: Any) -> Names:
    """The deduplication that says which images a training leaves out, if one does."""
    return [{}] if plan.network(network).dedup else []


def drawn(plan: Plan, network: str, **_: Any) -> Names:
    """The pictures that a training learns from, if it does: all shards."""
    return [
        {"defense": source, "sampler": PLAIN, **shard}
        for source in plan.drawn_by(network)
        for shard in shards(plan, PLAIN)
    ]


def labels(plan: Plan, network: str, **_: Any) -> Names:
    """The labels that a training learns in place of the true ones, if it does."""
    return [{}] if plan.network(network).labels else []


def clustered(plan: Plan, network: str, **_: Any) -> Names:
    """The feature space whose clusters are a network's labels."""
    entry = plan.network(network).labels
    return [{"extractor": entry.extractor}] if entry and entry.extractor else []


def compared(plan: Plan, network: str, **_: Any) -> Names:
    """The feature space in which a deduplication compares images."""
    entry = plan.board.networks[network].dedup
    return [{"extractor": entry.extractor}] if entry else []


def networks(plan: Plan, defense: str, seed: str | int, sampler: str = PLAIN, **_: Any) -> Names:
    """The networks that a defense draws with, the encoder with which it looks for members, and the
    classifier with which an extraction attack steers.
    """
    guide = plan.guide_of(sampler, defense) if sampler != PLAIN else []
    every = [*plan.networks_of(defense), *plan.eyes_of(defense), *guide]
    return [{"network": name, "seed": plan.seed_of(name, int(seed))} for name in every]


def queried(plan: Plan, sees: str, target: str, seed: str | int, **_: Any) -> Names:
    """The networks behind an attack's target."""
    if sees == "nothing":
        return []
    return [{"network": target}] if sees == "weights" else networks(plan, target, seed)


def encoder(plan: Plan, extractor: str, **_: Any) -> Names:
    """An extractor's network: trained once per track, with the first seed."""
    return [{"network": n, "seed": plan.track.seeds[0]} for n in plan.encoder_of(extractor)]


def shards(plan: Plan, sampler: str = PLAIN, **_: Any) -> Names:
    """All shards of a set of pictures."""
    return [{"shard": name} for name in plan.shards(sampler)]


def embedded(plan: Plan, sampler: str = PLAIN, **_: Any) -> Names:
    """The shards of the features of a set of pictures, where several jobs extract them."""
    every = shards(plan, sampler)
    return every if len(every) > 1 else []


def answered(plan: Plan, sees: str, **_: Any) -> Names:
    """The shards of an attack's questions, where several jobs ask them."""
    every = plan.audited_shards if sees != "nothing" else {}
    return [{"shard": name} for name in every] if len(every) > 1 else []


def extracted(plan: Plan, attack: str, sees: str, **_: Any) -> Names:
    """What a family of extraction attacks drew, and what its sources draw for anybody."""
    return [
        {"defense": source, "sampler": sampler, **headline(plan)[0]}
        for source in plan.drawn_from(attack, sees)
        for sampler in plan.samplers(attack)
    ]


def filtered(plan: Plan, attack: str, sees: str, **_: Any) -> Names:
    """The pictures themselves, for an attack that keeps some of them: every shard."""
    return [
        {"defense": source, "sampler": PLAIN, **shard}
        for source in plan.drawn_from(attack, sees)
        for shard in shards(plan)
        if plan.keeps(attack)
    ]


def judged(plan: Plan, **_: Any) -> Names:
    """Every defense, by name: one job judges the pictures of all."""
    return [{"defense": name} for name in sorted(plan.board.defenses)]


def theory(plan: Plan, defense: str, sampler: str, **_: Any) -> Names:
    """The pictures of a defense in the theory's space, then those of the undefended model."""
    how = plan.track.evaluation.theory
    space = {"extractor": how.extractor if how else "", "sampler": sampler}
    return [{"defense": name, **space} for name in (defense, "none")]


def theory_space(plan: Plan, **_: Any) -> Names:
    """The theory's space, and the real images in it."""
    how = plan.track.evaluation.theory
    return [{"extractor": how.extractor}] if how else []


def learned(plan: Plan, defense: str, **_: Any) -> Names:
    """The labels that a defense's network learned in place of the true ones, if it did."""
    network = plan.board.defenses[defense].denoisers[0]
    return [{"network": network}] if plan.network(network).labels else []


def scores(plan: Plan, attack: str, sees: str, **_: Any) -> Names:
    """The scores that tell about defenses: of raw networks, or of what stands before them."""
    return [{"sees": by, "target": target} for by, target in plan.targets(attack, sees)]


def cells(plan: Plan, stage: str, **_: Any) -> Names:
    """Every file of one measurement."""
    return plan.cells()[stage]


def pictures(plan: Plan, **_: Any) -> Names:
    """Every set of pictures."""
    pairs = plan.every_picture
    return [{"defense": name, "sampler": PLAIN, "seed": seed} for name, seed in pairs]


def trainings(plan: Plan, **_: Any) -> Names:
    """Every training that some defense rests on."""
    return [
        {"network": name, "seed": seed}
        for name in plan.every_training
        for seed in plan.seeds_of(name)
    ]


def drawings(plan: Plan, **_: Any) -> Names:
    """Every job that draws pictures."""
    return [{**each, **shard} for each in pictures(plan) for shard in shards(plan)]


def tables(plan: Plan, **_: Any) -> Names:
    """The similarities of all plain pictures in the headline space."""
    return [{**each, **headline(plan)[0]} for each in pictures(plan)]


def every_score(plan: Plan, **_: Any) -> Names:
    """The scores of all attacks on all defenses."""
    keys = ("attack", "sees", "target", "seed")
    return [dict(zip(keys, names, strict=True)) for names in plan.every_score]


def headline(plan: Plan, **_: Any) -> Names:
    """The extractor that decides what a copy is."""
    return [{"extractor": plan.track.evaluation.copies}]


def shown(plan: Plan, **_: Any) -> Names:
    """What the figures show: the first seed of every defense, in the headline space."""
    first = {"sampler": PLAIN, "seed": plan.track.seeds[0]}
    return [{"defense": name, **first, **headline(plan)[0]} for name in plan.board.defenses]


def shown_pictures(plan: Plan, **_: Any) -> Names:
    """The pictures of the above: every shard."""
    return [{**each, **shard} for each in shown(plan) for shard in shards(plan)]


def shown_scores(plan: Plan, **_: Any) -> Names:
    """The scores whose ROC curves are drawn: those of the first seed."""
    keys = ("attack", "sees", "target", "seed")
    return [dict(zip(keys, names, strict=True)) for names in plan.shown_scores]


def shown_curves(plan: Plan, **_: Any) -> Names:
    """The trainings whose loss is drawn."""
    return [{"network": name, "seed": plan.track.seeds[0]} for name in plan.denoisers]
