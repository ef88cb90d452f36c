"""Report: tables, pictures and scores in, figures, what papers report, and the page out.

in    results/{track}/*.csv, samples/**, similarity/**, scores/**, config/reported.yaml
out   results/{track}/papers.yaml, reported.csv, figures/*
      results/leaderboard.html   over all tracks
"""


rule quote:
    """Keep what papers report beside the results, once it is known to be well typed."""
    input:
        reported=REPORTED,
        code=code("quote"),
    output:
        papers="results/{track}/papers.yaml",
    log:
        "results/logs/quote/{track}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("quote"),
    script:
        "../workflow/quote.py"


rule cite:
    """Put what papers report beside what was measured."""
    input:
        measurements=rules.gather.output.parquet,
        papers=rules.quote.output.papers,
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
        samples=made("sample", "samples", "shown_pictures"),
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
