"""What rules share: the resolved configuration, specs for `params:`, and sources for `input:`.

in    HOME; config/config.yaml, config/tracks/*.yaml (here, or else beside this workflow)
out   PLANS, one plan per track; nothing on disk
"""

import inspect
import shutil
from functools import cache

from leakboard import assets, folders, leftovers, needs, planning, resolve, run, settings
from leakboard.digests import canonical
from leakboard.errors import UserError
from leakboard.plan import Plan
from leakboard.report import FIGURES
from leakboard.sources import stamp

planning.spare()
run.guard()  # jobs end with this process, and this process with `make`

if run.only_board() and not workflow.modifier.is_main_snakefile():
    raise WorkflowError("leakboard: a module runs jobs, and makes no board of what there is")

PLACES = [Path(), HOME] if HOME else [Path()]
GPU = config.pop("gpu", run.gpu())  # GPUs that a network's job asks for, from here or a profile
ONE = inspect.signature(lambda wildcards: None)  # the signature of a function of a job's names
REPORTED = "config/reported.yaml"
if not Path(REPORTED).is_file() and HOME:
    REPORTED = str(HOME / REPORTED)
NAMED = ", ".join(os.path.relpath(f) for f in workflow.configfiles) or "config/config.yaml"

try:
    PRECISION = settings.take(config)  # and how networks are computed, which jobs inherit
    BOARDS = resolve.read(config, NAMED, PLACES)
    if not run.only_board():  # which reads nothing from elsewhere
        assets.require(BOARDS.values())
    PLANS = {name: Plan(board, PRECISION) for name, board in BOARDS.items()}
except UserError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    track="[^/]+",
    network="[^/]+",
    extractor="[^/]+",
    defense="[^/]+",
    sampler="[^/]+",
    attack="[^/]+",
    sees="weights|predictor|images|nothing",
    target="[^/]+",
    seed=r"\d+",
    shard=r"\d+-\d+",


def by_names(answer):
    """A function of a job's names that is worked out once, and that Snakemake need not inspect."""
    known = {}

    def told(wildcards):
        names = tuple(wildcards.items())
        if names not in known:
            known[names] = answer(wildcards)
        return known[names]

    told.__signature__ = ONE
    return told


def spec(stage):
    """The spec of a job as one sorted JSON text: its only param, so no edit goes unnoticed."""
    return by_names(lambda wildcards: canonical(PLANS[wildcards.track].of(stage, **wildcards)))


def code(stage):
    """What is in the source files that a job's numbers depend on, as one input: a stamp."""

    def files(wildcards):
        used = PLANS[wildcards.track].plugins(stage, **wildcards) if wildcards else {}
        return [stamped(stage, tuple(used.items()))]

    return by_names(files)


@cache
def stamped(stage, used):
    """The stamp of a step with its plug-ins: (group, method) each."""
    # without HOME, the step is a copy whose path changes, and its release is tagged
    return str(stamp(Path(".snakemake/sources"), step(stage), dict(used), own=bool(HOME)))


def made(maker, output, need, *more):
    """Files that `maker` makes, as inputs of a job: those whose names `leakboard.needs` lists."""

    def files(wildcards):
        pattern = getattr(getattr(rules, maker).output, output)
        names = getattr(needs, need)(PLANS[wildcards.track], *more, **wildcards)
        return [pattern.format(**{**wildcards, **each}) for each in names]

    return by_names(files)


def unless(need, files):
    """The files of a job, but none where the jobs that `leakboard.needs` lists do its work."""
    return by_names(lambda wildcards: [] if shared(need, wildcards) else files(wildcards))


def gpus_unless(need):
    """The GPUs that a network's job asks for, but none where other jobs do its work."""
    return by_names(lambda wildcards: 0 if shared(need, wildcards) else GPU)


def shared(need, wildcards):
    """Whether several jobs do the work of one."""
    return bool(getattr(needs, need)(PLANS[wildcards.track], **wildcards))


def init_files(wildcards):
    """The weights that a training starts from: of a network made here, or of a folder."""
    folder = PLANS[wildcards.track].init_folder(wildcards.network)
    if folder:
        return [str(folders.weights(folder))]
    return made("train", "weights", "init")(wildcards)


def in_report(path, kind):
    """An output that `snakemake --report` shows, with the caption of its name."""
    name = Path(path).stem
    return report(
        path,
        caption=f"../workflow/report/{name}.rst",
        category="{track}",
        subcategory=kind,
        labels={"what": name},
    )


def preview_files(_):
    """One grid of pictures for each (track, defense, seed)."""
    return [
        rules.preview.output.png.format(track=track, **names)
        for track, plan in PLANS.items()
        for names in needs.pictures(plan)
    ]


def cell_files(_):
    """The measurement files of every track."""
    return [
        getattr(rules, stage).output.cell.format(track=track, **names)
        for track, plan in sorted(PLANS.items())
        for stage, cells in plan.cells().items()
        for names in cells
    ]


def show(tracks):
    """Print the boards, and where the page is."""
    boards = [Path(f"results/{track}/leaderboard.md") for track in tracks]
    page = Path("results/leaderboard.html")
    if page.is_file() and all(board.is_file() for board in boards):
        print(*(board.read_text(encoding="utf-8") for board in boards), sep="\n")
        print(f"The page: {page.resolve()}")
