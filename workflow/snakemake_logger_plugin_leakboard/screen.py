"""A terminal on which some lines stay and the last few are rewritten in place."""

import os
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

BOLD, DIM, RED, GREEN = 1, 2, 31, 32


class Screen:
    """Where the run is shown: `say` writes lines that stay, `draw` the block below them.

    Not thread safe: the caller holds its lock. `live` is False for a file, which has no block.
    """

    def __init__(self, stream: TextIO, color: bool) -> None:
        self.stream = stream
        self.live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.color = color and self.live
        utf = "utf" in (stream.encoding or "").lower()
        self.done, self.failed, self.full, self.empty = "✓✗━╌" if utf else "+x#-"
        self._drawn = 0
        self._lines: deque[str] = deque()
        self._restore: list[tuple[int, int]] = []

    def paint(self, text: str, code: int) -> str:
        """`text` in a color or weight, where there are any."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text

    def bar(self, part: float, beside: str) -> str:
        """A bar of which `part` (0 to 1) is full, as wide as the text `beside` it leaves room."""
        width = min(20, max(0, self._size()[0] - len(beside) - 15))
        full = round(width * min(1.0, part))
        return self.full * full + self.empty * (width - full)

    def say(self, text: str) -> None:
        """Write lines that stay, where the block was; the next `draw` puts it below them."""
        self._write(self._heard() + f"{text}\n")
        self._drawn = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Write the block anew: its first line bold, the others dim, no line wrapped."""
        columns, rows = self._size()
        if len(lines) > (most := max(2, rows - 2)):
            lines = [*lines[: most - 1], f"  and {len(lines) - most + 1} more"]
        shown = [line[: columns - 1] for line in lines]
        styles = [BOLD] + [DIM] * len(shown)
        text = (f"{self.paint(line, style)}\n" for line, style in zip(shown, styles, strict=False))
        self._write(self._heard() + "".join(text))
        self._drawn = len(shown)

    def capture(self) -> None:
        """Keep what else is written to the terminal (by jobs, say), to write it above the block.

        It would end up within the block otherwise, and be overwritten.
        """
        reader, writer = os.pipe()
        real, encoding = os.dup(self.stream.fileno()), self.stream.encoding
        for descriptor in (1, 2):
            if os.isatty(descriptor):
                self._restore.append((os.dup(descriptor), descriptor))
                os.dup2(writer, descriptor)
        os.close(writer)
        self.stream = open(real, "w", encoding=encoding, errors="replace")  # noqa: SIM115

        def listen() -> None:
            with open(reader, encoding=encoding, errors="replace") as lines:
                self._lines.extend(lines)

        self._listener = threading.Thread(target=listen, daemon=True)
        self._listener.start()

    def end(self, text: str) -> None:
        """Write the last lines where the block was, and give the terminal back."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        captured, self._restore = self._restore, []
        for real, descriptor in captured:
            os.dup2(real, descriptor)
            os.close(real)
        if captured:
            self._listener.join(timeout=1)  # a job that is still alive keeps the pipe open
        self.say(text)

    def _size(self) -> tuple[int, int]:
        """Columns and rows; asked of the terminal itself, as stdout may be captured."""
        with suppress(OSError):
            columns, rows = os.get_terminal_size(self.stream.fileno())
            if columns and rows:
                return columns, rows
        return 80, 24

    def _heard(self) -> str:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft().rstrip("\r\n") + "\n")
        return "".join(lines)

    def _write(self, text: str) -> None:
        up = f"\x1b[{self._drawn}A\r\x1b[J" if self._drawn else ""
        with suppress(OSError):
            self.stream.write(up + text)
            self.stream.flush()
