"""Attacks: what the attacker sees in, one score per audited image out.

in    results/{track}/networks/**, results/{track}/subset/*
out   results/{track}/scores/{attack}/{sees}/{target}/seed{seed}.parquet
      target: a network where the attacker sees weights, `split` where nothing, else a defense
"""


rule attack:
    """Score every audited image: higher = more likely a member."""
    input:
        networks=made("train", "weights", "queried"),
        images=rules.subset.output.images,
        split=rules.subset.output.split,
        code=code("attack"),
    output:
        scores="results/{track}/scores/{attack}/{sees}/{target}/seed{seed}.parquet",
    log:
        "results/logs/attack/{track}/{attack}/{sees}/{target}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        spec=spec("attack"),
    script:
        "../workflow/attack.py"
