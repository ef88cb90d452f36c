"""Train a network: denoiser, classifier or encoder, as its trainer says."""

import json
from pathlib import Path

from leakboard import artefacts, networks, plugins, progress, subset
from leakboard.files import write_bytes
from leakboard.job import job
from leakboard.training import prepare

with job(snakemake.log[0], snakemake.output.perf, dict(snakemake.wildcards)) as this:
    spec = json.loads(snakemake.params.spec)
    data = artefacts.read_npz(snakemake.input.images, spec["subset"])
    split = subset.read_split(snakemake.input.split)
    dedup = subset.read_split(snakemake.input.dedup[0]) if spec["dedup"] else None
    taught = list(spec["teachers"])
    pools = {name: subset.trained_rows(split, name, dedup) for name in taught or [spec["data"]]}
    folder = Path(snakemake.output.weights).parent
    training = prepare(
        spec,
        plugins.load("trainers", **spec["trainer"]),
        data["images"],
        data["labels"],
        pools,
        init=Path(snakemake.input.init[0]).parent if snakemake.input.init else None,
        teachers={
            name: Path(file).parent
            for name, file in zip(taught, snakemake.input.teachers, strict=True)
        },
        inputs=[Path(f) for f in snakemake.input],
        checkpoints=Path(snakemake.params.checkpoints),
    )
    net = training.run(lambda step, steps: progress.report(snakemake.log[0], step, steps))
    write_bytes(snakemake.output.curve, training.curve_text().encode())
    networks.save(net, folder, training.schedule, spec["noise"], artefacts.about(spec))
    this.earlier_seconds = training.earlier_seconds
    this.more = {"steps": training.step, "epochs": training.epochs, "images": training.images}
    training.forget()
