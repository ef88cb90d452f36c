"""Leaderboard: all rows of a track in, tables, figures and the page out.

in    results/{track}/measurements/**.json, results/{track}/perf/**.json
out   results/{track}/measurements.{csv,parquet}, leaderboard.{csv,md}, comparisons.{csv,parquet},
      controls.csv, verdict.json, trainings.csv, reported.csv, figures/*.{png,svg},
      figures/{curves,histograms}.csv, figures/gallery.json: what charts are drawn from
      results/leaderboard.html   over all tracks
"""


rule gather:
    """Put every row of a track into one table."""
    input:
        describe=made("describe", "cell", "cells", "describe"),
        screening=made("screening", "cell", "cells", "screening"),
        copying=made("copying", "cell", "cells", "copying"),
        quality=made("quality", "cell", "cells", "quality"),
        membership=made("membership", "cell", "cells", "membership"),
        extraction=made("extraction", "cell", "cells", "extraction"),
        theory=made("theory", "cell", "cells", "theory"),
        code=code("gather"),
    output:
        csv=in_report("results/{track}/measurements.csv", "tables"),
        parquet="results/{track}/measurements.parquet",
        record="results/{track}/records/gather.json",
    log:
        "results/logs/gather/{track}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("gather"),
    script:
        "../workflow/gather.py"


rule compare:
    """Compare every two defenses, on the same images and the same noise."""
    input:
        tables=made("similarity", "table", "tables"),
        scores=made("attack", "scores", "every_score"),
        background=made("background", "table", "headline"),
        code=code("compare"),
    output:
        parquet="results/{track}/comparisons.parquet",
        record="results/{track}/records/compare.json",
    log:
        "results/logs/compare/{track}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("compare"),
    script:
        "../workflow/compare.py"


rule rank:
    """Judge the track: ranks, comparisons, controls, and the verdict over all of it."""
    input:
        measurements=rules.gather.output.parquet,
        compared=rules.compare.output.parquet,
        trained=made("train", "perf", "trainings"),
        drawn=made("sample", "perf", "drawings"),
        code=code("rank"),
    output:
        csv=in_report("results/{track}/leaderboard.csv", "tables"),
        md="results/{track}/leaderboard.md",
        comparisons=in_report("results/{track}/comparisons.csv", "tables"),
        controls=in_report("results/{track}/controls.csv", "tables"),
        verdict="results/{track}/verdict.json",
        trainings=in_report("results/{track}/trainings.csv", "tables"),
        record="results/{track}/records/rank.json",
    log:
        "results/logs/rank/{track}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("rank"),
    script:
        "../workflow/rank.py"


rule cite:
    """Put what papers report beside what was measured."""
    input:
        measurements=rules.gather.output.parquet,
        reported=REPORTED,
        code=code("cite"),
    output:
        csv=in_report("results/{track}/reported.csv", "tables"),
        record="results/{track}/records/cite.json",
    log:
        "results/logs/cite/{track}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("cite"),
    script:
        "../workflow/cite.py"


rule figures:
    """Draw what a person would look at."""
    input:
        samples=made("sample", "samples", "shown"),
        tables=made("similarity", "table", "shown"),
        background=made("background", "table", "headline"),
        scores=made("attack", "scores", "shown_scores"),
        curves=made("train", "curve", "shown_curves"),
        extraction=made("extraction", "cell", "cells", "extraction"),
        images=rules.subset.output.images,
        code=code("figures"),
    output:
        **{name: in_report(f"results/{{track}}/figures/{name}.png", "figures") for name in FIGURES},
        **{f"{name}_svg": f"results/{{track}}/figures/{name}.svg" for name in FIGURES},
        curves="results/{track}/figures/curves.csv",
        histograms="results/{track}/figures/histograms.csv",
        gallery="results/{track}/figures/gallery.json",
        record="results/{track}/records/figures.json",
    log:
        "results/logs/figures/{track}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("figures"),
    script:
        "../workflow/figures.py"


PAGE = {name: PLANS[name].page() for name in sorted(PLANS)}


rule page:
    """Write the page: one file, no request to any host."""
    input:
        tables=expand(rules.rank.output.csv, track=PAGE),
        trainings=expand(rules.rank.output.trainings, track=PAGE),
        measurements=expand(rules.gather.output.parquet, track=PAGE),
        comparisons=expand(rules.rank.output.comparisons, track=PAGE),
        controls=expand(rules.rank.output.controls, track=PAGE),
        verdicts=expand(rules.rank.output.verdict, track=PAGE),
        reported=expand(rules.cite.output.csv, track=PAGE),
        cells=cell_files,
        figures=expand("results/{track}/figures/{name}.png", track=PAGE, name=FIGURES),
        curves=expand(rules.figures.output.curves, track=PAGE),
        histograms=expand(rules.figures.output.histograms, track=PAGE),
        gallery=expand(rules.figures.output.gallery, track=PAGE),
        code=code("page"),
    output:
        html=report(
            "results/leaderboard.html",
            caption="../workflow/report/page.rst",
            category="leaderboard",
            labels={"board": "all tracks"},
        ),
        records=expand("results/{track}/records/page.json", track=PAGE),
    log:
        "results/logs/page.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=canonical(PAGE),
    script:
        "../workflow/page.py"
