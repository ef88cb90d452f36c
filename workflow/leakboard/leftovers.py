"""What a run leaves that nothing reads any more: shards of another division, checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from glob import escape
from pathlib import Path

from leakboard.needs import answered, embedded
from leakboard.plan import Plan
from leakboard.ranges import parse


def sweep(plan: Plan, results: Path) -> None:
    """Remove shards that the plan has not, from the results of a track that is finished.

    What lies beyond the last image stays: with more images it is used again. So do batches that a
    job has kept and not yet used up.
    """
    for folder in results.glob("samples/*/*/seed*"):
        defense, sampler, seed = folder.relative_to(results).parts[1:]
        planned, images = plan.shards(sampler), plan.pictures(sampler)
        if all((folder / f"{name}.npz").exists() for name in planned):
            _remove(folder, planned, images)
            _remove(results / "perf/sample" / defense / sampler / seed, planned, images)
    for folder in results.glob("features/*/*/*/seed*/"):
        sampler = folder.parts[-2]
        shards = [each["shard"] for each in embedded(plan, sampler)]
        _remove(folder, shards, plan.pictures(sampler))
    for folder in results.glob("scores/*/*/*/seed*/"):
        shards = [each["shard"] for each in answered(plan, folder.parts[-3])]
        _remove(folder, shards, max(stop for _, stop in plan.audited_shards.values()))
    trained(results)
    for folder in sorted(results.glob("checkpoints/**/"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def trained(results: Path) -> None:
    """Remove checkpoints and live loss curves of all networks that are there.

    Their trainings leave them: until the workflow knows that one has ended, a lost node makes it
    start over.
    """
    for record in results.glob("perf/train/*/seed*.json"):
        network, seed = record.parent.name, record.stem
        if any(results.glob(f"networks/{escape(network)}/{seed}/*.safetensors")):
            shutil.rmtree(results / "checkpoints" / network / seed, ignore_errors=True)


def _remove(folder: Path, planned: Collection[str], images: int) -> None:
    for file in folder.glob("[!.]*-*"):
        known = parse(file.stem)
        if file.stem not in planned and known and known[1] <= images:
            file.unlink(missing_ok=True)
