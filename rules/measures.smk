"""Measures: features, similarities and scores in, rows out. Each row says what it is.

in    results/{track}/{features,similarity,scores}/**
out   results/{track}/measurements/{measure}/**.json
"""


rule describe:
    """Judge the judge: does the extractor know copies from strangers?"""
    input:
        pools=rules.embed_pools.output.features,
        background=rules.background.output.table,
        split=rules.subset.output.split,
        code=code("describe"),
    output:
        cell="results/{track}/measurements/describe/{extractor}.json",
    log:
        "results/logs/describe/{track}/{extractor}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("describe"),
    script:
        "../workflow/describe.py"


rule copying:
    """Count the copies of every defense, and compare with the undefended model."""
    input:
        tables=made("similarity", "table", "judged"),
        background=rules.background.output.table,
        features=made("embed", "features", "judged"),
        pools=rules.embed_pools.output.features,
        split=rules.subset.output.split,
        code=code("copying"),
    output:
        cell="results/{track}/measurements/copying/{extractor}/{sampler}/seed{seed}.json",
    log:
        "results/logs/copying/{track}/{extractor}/{sampler}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("copying"),
    script:
        "../workflow/copying.py"


rule screening:
    """Count how often pictures were drawn again before one was let out."""
    input:
        samples=made("sample", "samples", "shards"),
        code=code("screening"),
    output:
        cell="results/{track}/measurements/screening/{defense}/{sampler}/seed{seed}.json",
    log:
        "results/logs/screening/{track}/{defense}/{sampler}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("screening"),
    script:
        "../workflow/screening.py"


rule quality:
    """Compare the pictures of every defense with the held-out images: FID and KID."""
    input:
        features=made("embed", "features", "judged"),
        pools=rules.embed_pools.output.features,
        split=rules.subset.output.split,
        code=code("quality"),
    output:
        cell="results/{track}/measurements/quality/{extractor}/{sampler}/seed{seed}.json",
    log:
        "results/logs/quality/{track}/{extractor}/{sampler}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("quality"),
    script:
        "../workflow/quality.py"


rule membership:
    """Tell how well an attack's scores separate members from strangers, for every defense."""
    input:
        scores=made("attack", "scores", "scores"),
        code=code("membership"),
    output:
        cell="results/{track}/measurements/membership/{attack}/{sees}/seed{seed}.json",
    log:
        "results/logs/membership/{track}/{attack}/{sees}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("membership"),
    script:
        "../workflow/membership.py"
