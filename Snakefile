"""Do image diffusion models leak their training pictures, and which defenses stop it?

data -> training -> sampling -> features -> attacks -> measures -> leaderboard -> report
"""

from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/home.smk"
include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/sampling.smk"
include: "rules/features.smk"
include: "rules/attacks.smk"
include: "rules/measures.smk"
include: "rules/extraction.smk"
include: "rules/leaderboard.smk"
include: "rules/report.smk"
include: "rules/incomplete.smk"


# On a cluster these run where Snakemake does: a few seconds each, and on few files. Or (the first
# two) what they make does not say of which configuration, so no job may outlive its workflow.
localrules:
    deduplicate,
    relabel,
    all,
    preview,
    gather,
    rank,
    quote,
    cite,
    figures,
    page,


rule all:
    """The leaderboard of every track, and one page over all of them."""
    default_target: True
    input:
        expand("results/{track}/leaderboard.md", track=PLANS),
        expand("results/{track}/measurements.csv", track=PLANS),
        preview_files,
        lost,
        "results/leaderboard.html",


onstart:
    shutil.rmtree("results/incomplete", ignore_errors=True)
    if run.only_board():
        show_what_there_is(after_failure=False)
        sys.exit()
    plan_jobs()


onsuccess:
    show(list(PLANS))
    for name, plan in PLANS.items():
        leftovers.sweep(plan, Path("results") / name)


onerror:
    for name in PLANS:
        leftovers.trained(Path("results") / name)
    show_what_there_is(after_failure=True)
