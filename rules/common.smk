"""What rules share: the resolved configuration, specs for `params:`, and sources for `input:`.

in    config/config.yaml, config/tracks/*.yaml (here, or else beside this workflow)
out   PLANS, one plan per track; nothing on disk
"""

import os
from pathlib import Path

from snakemake.exceptions import WorkflowError

from leakboard import resolve, run
from leakboard.digests import canonical
from leakboard.errors import UserError
from leakboard.plan import Plan
from leakboard.sources import sources

run.guard()  # jobs end with this process, and this process with `make`

HOME = Path(workflow.basedir)
GPU = int(Path("/dev/nvidia0").exists())  # a machine without one runs as many jobs as it has cores
NAMED = ", ".join(os.path.relpath(f) for f in workflow.configfiles) or "config/config.yaml"

try:
    PLANS = {
        name: Plan(board) for name, board in resolve.read(config, NAMED, [Path(), HOME]).items()
    }
except UserError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    track="[^/]+",
    network="[^/]+",
    extractor="[^/]+",
    defense="[^/]+",
    sampler="[^/]+",
    attack="[^/]+",
    sees="weights|predictor",
    target="[^/]+",
    seed=r"\d+",
    shard=r"\d+",


def spec(stage):
    """The spec of a job as one sorted JSON text: its only param, so no edit goes unnoticed."""
    return lambda wildcards: canonical(PLANS[wildcards.track].of(stage, **wildcards))


def code(stage):
    """The source files that a job's numbers depend on, as inputs: compared by content."""

    def files(wildcards):
        used = PLANS[wildcards.track].plugins(stage, **wildcards) if wildcards else {}
        found = sources(HOME / "workflow" / f"{stage}.py", used)
        return [os.path.relpath(f) if f.is_relative_to(HOME) else str(f) for f in found]

    return files


def network_files(wildcards, names, seed=None):
    """The weights of networks by name."""
    seed = wildcards.seed if seed is None else seed
    return expand(rules.train.output.weights, track=wildcards.track, network=names, seed=seed)


def init_files(wildcards):
    """The weights that a training starts from: of a network made here, or of a folder."""
    plan = PLANS[wildcards.track]
    folder = plan.init_folder(wildcards.network)
    if folder:
        return [f"{folder}/diffusion_pytorch_model.safetensors"]
    return network_files(wildcards, plan.init_of(wildcards.network))


def encoder_files(wildcards):
    """The weights of an extractor's network: trained once per track, with the first seed."""
    plan = PLANS[wildcards.track]
    return network_files(wildcards, plan.encoder_of(wildcards.extractor), plan.track.seeds[0])


def sample_files(wildcards):
    """All shards of one (defense, sampler, seed)."""
    shards = range(len(PLANS[wildcards.track].shards))
    return expand(rules.sample.output.samples, shard=shards, **wildcards)


def score_files(wildcards):
    """The scores that tell about a defense: of its raw networks, or of its predictor."""
    targets = PLANS[wildcards.track].scored(wildcards.sees, wildcards.defense)
    return expand(rules.attack.output.scores, target=targets, **wildcards)


def cell_files(wildcards):
    """Every measured cell of a track."""
    cells = PLANS[wildcards.track].cells()
    return [
        path
        for stage, names in cells.items()
        for cell in names
        for path in expand(getattr(rules, stage).output.cell, track=wildcards.track, **cell)
    ]


def perf_files(wildcards):
    """What every training and every drawing of a track cost."""
    plan = PLANS[wildcards.track]
    each = {"track": wildcards.track, "seed": plan.track.seeds}
    drawn = {"defense": plan.board.defenses, "sampler": "plain", "shard": range(len(plan.shards))}
    trained = plan.closure(n for name in plan.board.defenses for n in plan.networks_of(name))
    return expand(rules.train.output.perf, network=trained, **each) + expand(
        rules.sample.output.perf, **drawn, **each
    )


def preview_files(_):
    """One grid of pictures for each (track, defense, seed)."""
    return [
        path
        for track, plan in PLANS.items()
        for path in expand(
            rules.preview.output.png,
            track=track,
            defense=plan.board.defenses,
            sampler="plain",
            seed=plan.track.seeds,
        )
    ]


def figure_files(wildcards):
    """What the figures show: the first seed of every defense."""
    plan = PLANS[wildcards.track]
    one = {
        "track": wildcards.track,
        "seed": plan.track.seeds[0],
        "sampler": "plain",
        "extractor": plan.track.evaluation.copies,
    }
    names = list(plan.board.defenses)
    return {
        "samples": expand(rules.sample.output.samples, defense=names, shard=0, **one),
        "tables": expand(rules.similarity.output.table, defense=names, **one),
        "background": expand(rules.background.output.table, **one),
        "scores": [
            path
            for attack, sees, target in plan.drawn_scores
            for path in expand(
                rules.attack.output.scores, attack=attack, sees=sees, target=target, **one
            )
        ],
        "curves": expand(rules.train.output.curve, network=plan.denoisers, **one),
        "images": rules.subset.output.images.format(**one),
        "split": rules.subset.output.split.format(**one),
    }


def show(tracks):
    """Print the boards, and where the page is."""
    for track in tracks:
        print(Path(f"results/{track}/leaderboard.md").read_text(encoding="utf-8"))
    print(f"The page: {Path('results/leaderboard.html').resolve()}")
