"""Training: a pool of images in, one network out, whoever will use it.

in    results/{track}/subset/*, the networks it starts from or is taught by; for an attack's student
      the pictures that its target draws (network: {network}@{defense})
out   results/{track}/subset/dedup/{network}.csv   which images of its pool are left, if it asks so
      results/{track}/subset/labels/{network}.csv  what they are labeled instead, if it asks so
      results/{track}/networks/{network}/seed{seed}/   a diffusers folder, and its loss curve
      results/{track}/checkpoints/{network}/seed{seed}/   of a running training, not declared: its
                                                     loss curve, and where it goes on when killed
"""


rule deduplicate:
    """Find the near-duplicates in a network's pool, and keep one image of each group."""
    input:
        features=made("embed_pools", "features", "compared"),
        split=rules.subset.output.split,
        code=code("deduplicate"),
    output:
        table="results/{track}/subset/dedup/{network}.csv",
    log:
        "results/logs/deduplicate/{track}/{network}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("deduplicate"),
    script:
        "../workflow/deduplicate.py"


rule relabel:
    """Label the images of a network's pool: by cluster, one class for each, or by chance."""
    input:
        features=made("embed_pools", "features", "clustered"),
        split=rules.subset.output.split,
        code=code("relabel"),
    output:
        table="results/{track}/subset/labels/{network}.csv",
    log:
        "results/logs/relabel/{track}/{network}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("relabel"),
    script:
        "../workflow/relabel.py"


rule train:
    """Train a network: denoiser, classifier or encoder, as its trainer says."""
    input:
        images=rules.subset.output.images,
        split=rules.subset.output.split,
        init=init_files,
        teachers=made("train", "weights", "teachers"),
        dedup=made("deduplicate", "table", "dedup"),
        labels=made("relabel", "table", "labels"),
        drawn=made("sample", "samples", "drawn"),
        code=code("train"),
    output:
        weights="results/{track}/networks/{network}/seed{seed}/diffusion_pytorch_model.safetensors",
        config="results/{track}/networks/{network}/seed{seed}/config.json",
        index="results/{track}/networks/{network}/seed{seed}/model_index.json",
        scheduler="results/{track}/networks/{network}/seed{seed}/scheduler_config.json",
        curve="results/{track}/networks/{network}/seed{seed}/training.csv",
        perf="results/{track}/perf/train/{network}/seed{seed}.json",
    log:
        "results/logs/train/{track}/{network}/seed{seed}.log",
    priority: lambda w: PLANS[w.track].urgency(w.network)
    conda:
        "../envs/leakboard.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        spec=spec("train"),
        checkpoints="results/{track}/checkpoints/{network}/seed{seed}",
    script:
        "../workflow/train.py"
