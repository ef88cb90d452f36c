"""Attacks: what the attacker sees in, one score per audited image out.

in    results/{track}/networks/**, results/{track}/subset/*
out   results/{track}/scores/{attack}/{sees}/{target}/seed{seed}.parquet
      target: a network where the attacker sees weights, `split` where nothing, else a defense
      results/{track}/scores/{attack}/{sees}/{target}/seed{seed}/{start}-{stop}.npz
                       answers about a shard of the images, where the track has several
      results/{track}/perf/attack/**.json     what each job took, and how it computed
      results/{track}/checkpoints/attack/**   batches of a job at work, not declared
"""


rule attack_shard:
    """Ask about some of the audited images, as an attack does."""
    input:
        networks=made("train", "weights", "queried"),
        images=rules.subset.output.images,
        split=rules.subset.output.split,
        code=code("attack"),
        step=code("attack_shard"),
    output:
        answers="results/{track}/scores/{attack}/{sees}/{target}/seed{seed}/{shard}.npz",
        perf="results/{track}/perf/attack/{attack}/{sees}/{target}/seed{seed}/{shard}.json",
    log:
        "results/logs/attack_shard/{track}/{attack}/{sees}/{target}/seed{seed}/{shard}.log",
    conda:
        "../envs/leakboard.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        spec=spec("attack_shard"),
        checkpoints="results/{track}/checkpoints/attack/{attack}/{sees}/{target}/seed{seed}",
        scores="results/{track}/scores/{attack}/{sees}/{target}/seed{seed}.parquet",
    script:
        "../workflow/attack_shard.py"


rule attack:
    """Score every audited image: higher = more likely a member."""
    input:
        networks=made("train", "weights", "queried"),
        images=rules.subset.output.images,
        split=rules.subset.output.split,
        shards=made("attack_shard", "answers", "answered"),
        code=code("attack"),
    output:
        scores="results/{track}/scores/{attack}/{sees}/{target}/seed{seed}.parquet",
        perf="results/{track}/perf/attack/{attack}/{sees}/{target}/seed{seed}.json",
    log:
        "results/logs/attack/{track}/{attack}/{sees}/{target}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    threads: 1
    resources:
        gpu=gpus_unless("answered"),
    params:
        spec=spec("attack"),
        checkpoints="results/{track}/checkpoints/attack/{attack}/{sees}/{target}/seed{seed}",
        shards="results/{track}/scores/{attack}/{sees}/{target}/seed{seed}",
    script:
        "../workflow/attack.py"
