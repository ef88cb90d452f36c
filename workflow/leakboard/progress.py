"""How far a run of the workflow is, and how long it will still take. Arithmetic only."""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

EXPECTED = {"train": 100.0, "sample": 30.0, "attack": 8.0, "embed": 6.0, "figures": 6.0}
EXPECTED |= {"quality": 6.0}
CONFIDENCE = 20.0  # expected seconds that must be observed to trust this machine's speed by half

_written: dict[str, float] = {}
_first: dict[str, tuple[int, float]] = {}  # step, time


def expected_seconds(rule: str) -> float:
    """How long a job of `rule` takes on two CPU cores, in seconds; only the ratios matter."""
    return EXPECTED.get(rule, 2.0)


def report(log: str | Path, step: int, total: int) -> None:
    """Tell the display how far the job that writes `log` is; twice a second at most.

    The display must never end a training: a disk that is full goes unnoticed here.
    """
    now, key = time.monotonic(), str(log)
    first, start = _first.setdefault(key, (step, now))
    if step >= total or now - _written.get(key, -1.0) >= 0.5:
        _written[key] = now
        with suppress(OSError):
            Path(f"{log}.progress").write_text(f"{step} {total} {first} {now - start:.3f}\n")


def reporter(log: str | Path) -> Callable[[int, int], None]:
    """`report` about the job that writes `log`."""
    return lambda step, total: report(log, step, total)


def read(log: str | Path, since: float = 0.0) -> tuple[int, int] | None:
    """(step, total) as last reported, unless that was before `since` (seconds of time.time())."""
    path = Path(f"{log}.progress")
    with suppress(OSError):
        if path.stat().st_mtime >= since and (found := look(log)):
            return found[:2]
    return None


def look(log: str | Path) -> tuple[int, int, int, float] | None:
    """(step, total) as last reported; the first step reported, and the seconds between the two."""
    try:
        step, total, first, seconds = Path(f"{log}.progress").read_text().split()
        return int(step), int(total), int(first), float(seconds)
    except (OSError, ValueError):  # none yet, or half written
        return None


@dataclass
class Running:
    """A job between its start and its end; times in seconds on one clock."""

    rule: str
    start: float
    first: tuple[int, float] | None = None  # step, time: a resumed training does not begin at 0
    last: tuple[int, float] | None = None
    total: int = 0

    def pace(self) -> float | None:
        """Seconds per step, once two readings differ."""
        if self.first and self.last and self.last[0] > self.first[0]:
            return (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])
        return None

    def full(self) -> float | None:
        """Seconds that the whole job takes from its first step to its last, judged by its pace."""
        pace = self.pace()
        if pace is None or self.first is None:
            return None
        return self.first[1] - self.start + pace * self.total


class Progress:
    """The jobs of one run: how many there are by rule, which run, how long the finished took.

    Every method that needs the time takes it as `now`, in seconds on any one clock.
    """

    def __init__(self, counts: Mapping[str, int], now: float) -> None:
        self.counts = dict(counts)
        self.start = now
        self.done = 0
        self.failed: dict[Hashable, str] = {}  # job, rule
        self.running: dict[Hashable, Running] = {}
        self._ended: dict[str, list[float]] = defaultdict(list)

    @property
    def total(self) -> int:
        """How many jobs the run has."""
        return sum(self.counts.values())

    def started(self, job: Hashable, rule: str, now: float) -> None:
        """A job began; one that failed before is forgiven."""
        self.failed.pop(job, None)
        self.running[job] = Running(rule, now)

    def stepped(self, job: Hashable, step: int, total: int, now: float) -> None:
        """A running job has said how far it is."""
        this = self.running[job]
        if this.last is None or step != this.last[0]:
            this.first, this.last, this.total = this.first or (step, now), (step, now), total

    def finished(self, job: Hashable, now: float, failed: bool = False) -> float:
        """A job ended; comes back with its seconds (0 for one that was never seen to start)."""
        this = self.running.pop(job, None)
        seconds = now - this.start if this else 0.0
        if failed:
            self.failed[job] = this.rule if this else ""
        else:
            self.done += 1
            if this:
                self._ended[this.rule].append(seconds)
        return seconds

    def eta(self, now: float) -> float | None:
        """Seconds until the last job ends; None before the first job has started."""
        waiting = dict(self.counts)
        for rule, ended in self._ended.items():
            waiting[rule] = waiting.get(rule, 0) - len(ended)
        for rule in self.failed.values():
            waiting[rule] = waiting.get(rule, 0) - 1
        left = []
        for job in self.running.values():
            waiting[job.rule] = waiting.get(job.rule, 0) - 1
            left.append(self._left(job, now))
        busy = sum(map(sum, self._ended.values())) + sum(
            now - job.start for job in self.running.values()
        )
        if not busy:
            return None
        work = sum(left) + sum(max(0, n) * self._mean(rule) for rule, n in waiting.items())
        parallel = max(1.0, len(self.running), busy / max(now - self.start, 1e-9))
        return max([work / parallel, *left])

    def _left(self, job: Running, now: float) -> float:
        pace, elapsed = job.pace(), now - job.start
        if pace is not None and job.last is not None:
            return max(0.0, pace * (job.total - job.last[0]) - (now - job.last[1]))
        return max(self._mean(job.rule) - elapsed, 0.1 * elapsed)

    def _observed(self, rule: str) -> list[float]:
        live = [job.full() for job in self.running.values() if job.rule == rule]
        return self._ended.get(rule, []) + [seconds for seconds in live if seconds is not None]

    def _mean(self, rule: str) -> float:
        """Seconds of a job of `rule`: as observed, else as expected at the speed observed."""
        if seen := self._observed(rule):
            return sum(seen) / len(seen)
        took = expected = CONFIDENCE
        for other in {*self._ended, *(job.rule for job in self.running.values())}:
            seen = self._observed(other)
            took += sum(seen)
            expected += len(seen) * expected_seconds(other)
        return expected_seconds(rule) * took / expected


def clock(seconds: float) -> str:
    """`1:52`, or `2:03:10` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
