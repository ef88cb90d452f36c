"""Features: images in, vectors out; and which real images are nearest.

in    results/{track}/samples/**, results/{track}/subset/*, the extractor's network
out   results/{track}/features/{extractor}/pools.npz                              real images
      results/{track}/features/{extractor}/{defense}/{sampler}/seed{seed}/{start}-{stop}.npz
                       of a shard of the pictures, where the track has several
      results/{track}/features/{extractor}/{defense}/{sampler}/seed{seed}.npz     pictures
      results/{track}/similarity/{extractor}/background.parquet    held-out images to members
      results/{track}/similarity/{extractor}/{defense}/{sampler}/seed{seed}.parquet
"""


rule embed_pools:
    """Extract the features of all real images, of altered copies, and of mirrored ones where asked."""
    input:
        network=made("train", "weights", "encoder"),
        images=rules.subset.output.images,
        code=code("embed_pools"),
    output:
        features="results/{track}/features/{extractor}/pools.npz",
    log:
        "results/logs/embed_pools/{track}/{extractor}.log",
    conda:
        "../envs/leakboard.yaml"
    resources:
        gpu=GPU,
    params:
        spec=spec("embed_pools"),
    script:
        "../workflow/embed_pools.py"


rule embed_shard:
    """Extract the features of some of a set of drawn pictures."""
    input:
        network=made("train", "weights", "encoder"),
        samples=rules.sample.output.samples,
        code=code("embed_shard"),
    output:
        features="results/{track}/features/{extractor}/{defense}/{sampler}/seed{seed}/{shard}.npz",
    log:
        "results/logs/embed_shard/{track}/{extractor}/{defense}/{sampler}/seed{seed}/{shard}.log",
    conda:
        "../envs/leakboard.yaml"
    resources:
        gpu=GPU,
    params:
        spec=spec("embed_shard"),
    script:
        "../workflow/embed_shard.py"


rule embed:
    """Extract the features of drawn pictures, or put together those of all shards."""
    input:
        network=unless("embedded", made("train", "weights", "encoder")),
        samples=unless("embedded", made("sample", "samples", "shards")),
        shards=made("embed_shard", "features", "embedded"),
        code=code("embed"),
    output:
        features="results/{track}/features/{extractor}/{defense}/{sampler}/seed{seed}.npz",
    log:
        "results/logs/embed/{track}/{extractor}/{defense}/{sampler}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    resources:
        gpu=gpus_unless("embedded"),
    params:
        spec=spec("embed"),
    script:
        "../workflow/embed.py"


rule background:
    """Find how near held-out images come to members: what a stranger reaches."""
    input:
        pools=rules.embed_pools.output.features,
        split=rules.subset.output.split,
        code=code("background"),
    output:
        table="results/{track}/similarity/{extractor}/background.parquet",
    log:
        "results/logs/background/{track}/{extractor}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("background"),
    script:
        "../workflow/background.py"


rule similarity:
    """Find the members nearest to each picture."""
    input:
        features=rules.embed.output.features,
        pools=rules.embed_pools.output.features,
        split=rules.subset.output.split,
        code=code("similarity"),
    output:
        table="results/{track}/similarity/{extractor}/{defense}/{sampler}/seed{seed}.parquet",
    log:
        "results/logs/similarity/{track}/{extractor}/{defense}/{sampler}/seed{seed}.log",
    conda:
        "../envs/leakboard.yaml"
    params:
        spec=spec("similarity"),
    script:
        "../workflow/similarity.py"
