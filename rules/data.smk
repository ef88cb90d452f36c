"""Data: a dataset in, a subset out.

in    a dataset plug-in (workflow/leakboard/data)
out   results/{track}/subset/images.npz   all images, uint8 NHWC, and labels
      results/{track}/subset/split.csv    index, label, pool, half, fold, times; number, if known
      results/{track}/subset/names.csv    index; file and caption, if known: as private as the images
"""


rule subset:
    """Choose the members, the held-out and the reference images."""
    input:
        code=code("subset"),
    output:
        images="results/{track}/subset/images.npz",
        split="results/{track}/subset/split.csv",
        names="results/{track}/subset/names.csv",
    log:
        "results/logs/subset/{track}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("subset"),
    script:
        "../workflow/subset.py"
