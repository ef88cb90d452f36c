"""Extraction: what attackers drew of the members in, rows out; and what theory says of memorization.

in    results/{track}/similarity/**, features/** and samples/** of plain and of steered pictures
out   results/{track}/measurements/{extraction,theory}/**.json
"""


rule extraction:
    """Count what a family of extraction attacks draws of the members, for every defense."""
    input:
        tables=made("similarity", "table", "extracted"),
        background=made("background", "table", "headline"),
        samples=made("sample", "samples", "filtered"),
        code=code("extraction"),
    output:
        cell="results/{track}/measurements/extraction/{attack}/{sees}/seed{seed}.json",
    log:
        "results/logs/extraction/{track}/{attack}/{sees}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("extraction"),
    script:
        "../workflow/extraction.py"


rule theory:
    """Measure memorization as SIDE's theory defines it, and what labels do to it."""
    input:
        features=made("embed", "features", "theory"),
        pools=made("embed_pools", "features", "theory_space"),
        labels=made("relabel", "table", "learned"),
        split=rules.subset.output.split,
        code=code("theory"),
    output:
        cell="results/{track}/measurements/theory/{defense}/{sampler}/seed{seed}.json",
    log:
        "results/logs/theory/{track}/{defense}/{sampler}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("theory"),
    script:
        "../workflow/theory.py"
