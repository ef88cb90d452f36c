"""Snakemake's messages as a person wants them: what runs, what is done, how long it still takes.

On a terminal a few lines at the bottom are rewritten in place; elsewhere (CI, a file) every
finished job is one plain line. Dry runs, --quiet, --verbose and --debug look as Snakemake's own.
"""

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from snakemake.logging import ColorizingTextHandler, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from leakboard.progress import Progress, clock, read

from .screen import GREEN, RED, Screen
from .words import CHATTER, SILENT, Job, count, reason, title


class LogHandler(LogHandlerBase):
    """The handler that `--logger leakboard` loads."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = True
    needs_rulegraph = False
    every = 30.0  # seconds between two lines about what runs, where nothing can be rewritten

    def __post_init__(self) -> None:
        ask = self.common_settings
        stream = sys.stdout if ask.stdout else sys.stderr
        self.setFormatter(DefaultFormatter(ask.quiet, ask.show_failed_logs))
        self.plain = ColorizingTextHandler(ask.nocolor, stream)
        self.plain.setFormatter(self.formatter)
        quiet = {Quietness.ALL, Quietness.RULES, Quietness.PROGRESS} & set(ask.quiet or ())
        self.default = bool(ask.dryrun or quiet or ask.verbose or ask.debug_dag)
        self.default |= "--debug" in sys.argv  # it needs the terminal for itself
        self.screen = Screen(stream, not self.plain.nocolor)
        self.jobs: dict[int, Job] = {}
        self.progress: Progress | None = None
        self.ended = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; whatever goes wrong here, the run goes on."""
        try:
            if self.default or not self._show(record):
                self._say(record)
        except Exception:
            self.plain.emit(record)

    def close(self) -> None:
        """Leave the terminal as a shell expects it, with one line that sums up the run."""
        with suppress(Exception):
            self._end()
        super().close()

    def _show(self, record: logging.LogRecord) -> bool:
        """Show what is known about; False leaves the record to the default format."""
        event, about, progress = getattr(record, "event", None), record.__dict__, self.progress
        if event == LogEvent.RUN_INFO:
            self._begin(about["stats"])
        elif progress and event == LogEvent.JOB_INFO:
            name, words = about["rule_name"], about["rule_msg"]
            text = words or title(name, about["wildcards"])
            began = record.created - 1  # file systems are less exact than clocks
            self.jobs[about["jobid"]] = Job(text, about["log"], bool(about["output"]), began)
            progress.started(about["jobid"], name, time.monotonic())
        elif progress and event == LogEvent.JOB_FINISHED:
            self._finished(about["job_id"], progress)
        elif progress and event == LogEvent.JOB_ERROR:
            self._failed(about, progress)
        elif event == LogEvent.PROGRESS:
            if about["done"] >= about["total"]:
                self._end()
        elif event == LogEvent.ERROR and "CalledProcessError in" in str(record.msg):
            pass  # JOB_ERROR says the same in fewer words
        else:
            return event in SILENT or str(record.msg).startswith(CHATTER)
        return True

    def _say(self, record: logging.LogRecord) -> None:
        if self.default or not self.progress or self.ended.is_set():
            self.plain.emit(record)
        elif text := self.format(record):
            urgent = record.levelno >= logging.WARNING
            self._stay(self.plain.decorate(record, text) if urgent else text)

    def _begin(self, stats: Mapping[str, int]) -> None:
        counts = {rule: count for rule, count in stats.items() if rule != "total"}
        self.progress = Progress(counts, time.monotonic())
        os.environ["LEAKBOARD_DISPLAY"] = "1"  # a failing job need not print its message itself
        atexit.register(self.close)
        if self.screen.live:
            self.screen.capture()
        else:
            self.screen.say(f"leakboard: {count(self.progress.total)} to do")
        threading.Thread(target=self._tick, daemon=True, name="display").start()

    def _finished(self, job: int, progress: Progress) -> None:
        seconds, this = progress.finished(job, time.monotonic()), self.jobs.pop(job, None)
        if this and this.shown:
            line = f"{self.screen.paint(self.screen.done, GREEN)} {this.title}  {clock(seconds)}"
            self._stay(line if self.screen.live else f"{line}  [{self._state(progress)}]")

    def _failed(self, about: Mapping, progress: Progress) -> None:
        this = self.jobs.pop(about["jobid"], None)
        seconds = progress.finished(about["jobid"], time.monotonic(), failed=True)
        name = this.title if this else about["rule_name"]
        why = reason(about["log"], this.began if this else 0.0) or about["rule_msg"]
        lines = [
            f"{self.screen.paint(f'{self.screen.failed} {name} failed', RED)}  {clock(seconds)}",
            f"    {why or about['shellcmd'] or 'its log says nothing; see the lines above'}",
            *(f"    log: {log}" for log in about["log"]),
        ]
        self._stay("\n".join(lines))

    def _stay(self, text: str) -> None:
        self.screen.say(text)
        self._draw()

    def _tick(self) -> None:
        while not self.ended.wait(0.5 if self.screen.live else self.every):
            self.acquire()  # the lock that is also held around emit
            try:
                self._draw(tick=True)
            except Exception:
                pass  # the next tick may do better
            finally:
                self.release()

    def _draw(self, tick: bool = False) -> None:
        """Redraw the block; on a stream without one, say what runs when a tick asks for it."""
        if self.progress is None or self.ended.is_set():
            return
        now, progress, lines = time.monotonic(), self.progress, []
        wide = max((len(job.title) for job in self.jobs.values()), default=0)
        for key, job in self.jobs.items():
            step = next((found for log in job.logs if (found := read(log, job.began))), None)
            if step:
                progress.stepped(key, *step, now)
            count = f"  step {step[0]}/{step[1]}" if step else ""
            lines.append(f"  {job.title:{wide}}{count}  {clock(now - progress.running[key].start)}")
        if self.screen.live:
            state = self._state(progress)
            bar = self.screen.bar(progress.done / max(1, progress.total), beside=state)
            self.screen.draw([f"leakboard  {bar}  {state}", *lines])
        elif tick and lines:
            running = ", ".join(" ".join(line.split()) for line in lines)
            self.screen.say(f"running: {running}  [{self._state(progress)}]")

    def _state(self, progress: Progress) -> str:
        now, done, total = time.monotonic(), progress.done, progress.total
        eta = progress.eta(now)
        left = f"  about {clock(eta)} left" if eta is not None and done < total else ""
        elapsed = clock(now - progress.start)
        return f"{done}/{total} jobs  {100 * done // max(1, total)} %  elapsed {elapsed}{left}"

    def _end(self) -> None:
        """Sum up and give the terminal back, once."""
        if (progress := self.progress) is None or self.ended.is_set():
            return
        self.ended.set()
        took = clock(time.monotonic() - progress.start)
        if progress.done >= progress.total:
            text = f"leakboard: {count(progress.total)} done in {took}"
        else:
            failed = f", {len(progress.failed)} failed" if progress.failed else ""
            text = (
                f"leakboard: {progress.done} of {count(progress.total)} done{failed}, in {took};"
                " run the same command again to go on, finished results are kept"
            )
        self.screen.end(text)
