"""What makes planning cheaper and changes no plan: how Snakemake's own time is spent."""

from __future__ import annotations

import atexit
import gc
from functools import cache


def spare() -> None:
    """At the top of the Snakefile; together a quarter of the time that Snakemake plans."""
    # A plan is made of objects that stay: looking for those that do not is in vain.
    gc.set_threshold(200_000, 50, 100)
    atexit.register(gc.freeze)  # nor is the process, in its last second, worth tidying
    # Snakemake looks a job's script up three times, each time through this function, which makes a
    # new class at every call. Equal addresses have equal parts.
    try:
        import smart_open
    except ImportError:  # Snakemake looks scripts up in another way
        return
    smart_open.parse_uri = cache(smart_open.parse_uri)
