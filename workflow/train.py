"""Train a network: denoiser, classifier or encoder, as its trainer says."""

import json
from pathlib import Path

from leakboard import artefacts, networks, plugins, progress, settings, subset
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.training import prepare

with job(snakemake.log[0], snakemake.output.perf, dict(snakemake.wildcards)) as this:
    spec, files = json.loads(snakemake.params.spec), snakemake.input
    data = artefacts.read_npz(files.images, spec["subset"])
    split = subset.read_split(files.split)
    dedup = subset.read_split(files.dedup[0]) if spec["dedup"] else None
    taught = list(spec["teachers"])
    images, labels = data["images"], data["labels"]
    if spec["labels"]:
        labels = subset.relabeled(labels, files.labels[0])
    if spec["drawn"]:
        images = artefacts.read_pictures(files.drawn, spec["drawn"])
        labels, pools = subset.drawn(len(images))
    else:
        names = taught or [spec["data"]]
        pools = {name: subset.trained_rows(split, name, dedup) for name in names}
    folder = Path(snakemake.output.weights).parent
    training = prepare(
        spec,
        plugins.load("trainers", **spec["trainer"]),
        images,
        labels,
        pools,
        init=Path(files.init[0]).parent if files.init else None,
        teachers={
            name: Path(file).parent for name, file in zip(taught, files.teachers, strict=True)
        },
        inputs=[Path(f) for f in files],
        checkpoints=Path(snakemake.params.checkpoints),
    )
    net = training.run(lambda step, steps: progress.report(snakemake.log[0], step, steps))
    write_bytes(snakemake.output.curve, training.curve_text().encode())
    networks.save(net, folder, training.schedule, spec["noise"], artefacts.about(spec))
    this.earlier_seconds = training.earlier_seconds
    done = {"steps": training.step, "epochs": training.epochs, "images": training.images}
    this.more = {"precision": settings.precision(spec), **done}
