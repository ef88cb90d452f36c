"""Sampling: trained networks in, pictures out.

in    results/{track}/networks/**, results/{track}/subset/* (for defenses that look at members)
out   results/{track}/samples/{defense}/{sampler}/seed{seed}/{start}-{stop}.npz   uint8 NHWC, a shard
      results/{track}/checkpoints/sample/**   batches of a job at work, not declared
      results/{track}/samples/{defense}/{sampler}/seed{seed}/preview.png
"""


rule sample:
    """Draw pictures while the defense watches every denoising step."""
    input:
        networks=made("train", "weights", "networks"),
        images=rules.subset.output.images,
        split=rules.subset.output.split,
        code=code("sample"),
    output:
        samples="results/{track}/samples/{defense}/{sampler}/seed{seed}/{shard}.npz",
        perf="results/{track}/perf/sample/{defense}/{sampler}/seed{seed}/{shard}.json",
    log:
        "results/logs/sample/{track}/{defense}/{sampler}/seed{seed}/{shard}.log",
    conda:
        "../envs/leakboard.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        spec=spec("sample"),
        checkpoints="results/{track}/checkpoints/sample/{defense}/{sampler}/seed{seed}",
    script:
        "../workflow/sample.py"


rule preview:
    """Lay the first pictures out in a grid."""
    input:
        samples=made("sample", "samples", "shards"),
        code=code("preview"),
    output:
        png=report(
            "results/{track}/samples/{defense}/{sampler}/seed{seed}/preview.png",
            caption="../workflow/report/preview.rst",
            category="{track}",
            subcategory="samples",
            labels={"defense": "{defense}", "sampler": "{sampler}", "seed": "{seed}"},
        ),
    log:
        "results/logs/preview/{track}/{defense}/{sampler}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("preview"),
    script:
        "../workflow/preview.py"
