"""SIGTERM, as preemption, a time limit or `kill` send it: what runs is told once, and may save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType


class Terminated(BaseException):
    """Raised where the main thread is when SIGTERM comes; its text says what is kept.

    No library catches it, as it is no Exception. Who does catch it saves, and raises it again.
    """


class _State:
    heard = False  # somebody listens
    asked = False  # SIGTERM has come
    depth = 0  # of blocks that must not be torn


def asked() -> bool:
    """Whether this process has been told to end."""
    return _State.asked


@contextmanager
def listening() -> Iterator[None]:
    """Within the block the first SIGTERM raises Terminated, and further ones change nothing.

    Elsewhere than in the main thread, which alone hears signals, the block is left as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.heard, _State.asked, _State.depth = True, False, 0
    before = signal.signal(signal.SIGTERM, _hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _State.heard = False


def finish() -> None:
    """From here on SIGTERM comes too late: what is done is put away, whatever comes."""
    _State.depth += 1


class whole:
    """A block that SIGTERM does not tear: Terminated is raised at its end instead.

    Also when it was raised before and got lost, as happens within a destructor.
    """

    def __enter__(self) -> None:
        _State.depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _State.depth -= 1
        if _State.heard and _State.asked and _State.depth == 0 and error is None:
            raise Terminated


def _hear(_number: int, _frame: FrameType | None) -> None:
    if not _State.asked:
        _State.asked = True
        if _State.depth == 0:
            raise Terminated
