"""Leaderboard: all rows of a track in, its tables and its verdict out.

in    results/{track}/measurements/**.json, results/{track}/perf/**.json, scores and similarities
out   results/{track}/measurements.{csv,parquet}, comparisons.{csv,parquet}, controls.csv,
      leaderboard.{csv,md}, verdict.json, trainings.csv
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
