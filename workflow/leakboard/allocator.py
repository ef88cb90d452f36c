"""Memory that networks free is kept for their next call."""

import ctypes
from contextlib import suppress
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


@cache
def keep() -> None:
    """Have the C library keep blocks of up to 1 GB that are freed; for the rest of the process.

    glibc hands what is larger than 32 MB back to the system at once, which clears it page by page
    when it is asked for again: half of the time of a large batch. A process keeps more that way, up
    to a third. Other C libraries than glibc are left as they are.
    """
    limits(2**30, 2**31 - 1)


def limits(mapped: int, kept: int) -> None:
    """Blocks of `mapped` bytes are the system's; more than `kept` free at the end goes back."""
    with suppress(OSError, AttributeError):  # no such library, no such function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, mapped)
        mallopt(TRIM_THRESHOLD, kept)
