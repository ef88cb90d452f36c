"""Put every row of a track into one table."""

from __future__ import annotations

from typing import Any

from leakboard import measurements
from leakboard.stages import Files


def make(spec: dict[str, Any], files: Files) -> dict[str, Any]:
    """csv and parquet: the table. files: by measurement stage, all its files."""
    given = {stage: files.get(stage, []) for stage in spec["digests"]}
    table = measurements.gather(given, spec["digests"])
    return {"csv": table, "parquet": table}
