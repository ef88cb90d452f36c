"""Compare the pictures with the held-out images: FID and KID of one defense."""

from __future__ import annotations

from typing import Any

from leakboard import artefacts, subset
from leakboard.measures.measure import Measure
from leakboard.quality import out_of_class, quality
from leakboard.stages import Files

Spec = dict[str, Any]


def measure(spec: Spec, files: Files) -> list[tuple[Spec, list[Measure]]]:
    """Rows about drawn pictures. files: features, pools, split."""
    drawn = artefacts.read_npz(files["features"][0], spec["features"])
    pools = artefacts.read_npz(files["pools"][0], spec["pools"])
    split = subset.read_split(files["split"][0])
    rows = subset.rows_of_pool(split, "held-out")
    found = quality(pools["real"][rows], drawn["features"], spec["extractor"])
    if "classes" in drawn and (drawn["asked"] >= 0).all():
        wrong = pools["classes"][rows] != split["label"].to_numpy()[rows]
        found += out_of_class(drawn["classes"] != drawn["asked"], wrong, spec["extractor"])
    return [(spec, found)]


def promised(spec: Spec) -> list[str]:
    """The metrics of every cell."""
    return [f"{name}:{spec['extractor']}" for name in ("fid", "kid")]
