"""Data: a dataset in, a subset out.

in    a dataset plug-in (workflow/leakboard/data)
out   results/{track}/subset/images.npz   all images, uint8 NHWC, and labels
      results/{track}/subset/split.csv    index, label, pool, half, fold, times
"""


rule subset:
    """Choose the members, the held-out and the reference images."""
    input:
        code=code("subset"),
    output:
        images="results/{track}/subset/images.npz",
        split="results/{track}/subset/split.csv",
    log:
        "results/logs/subset/{track}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("subset"),
    script:
        "../workflow/subset.py"
