"""What is said of a job, and which of Snakemake's messages are left unsaid."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snakemake_interface_logger_plugins.common import LogEvent

from leakboard.logs import said

SILENT = {LogEvent.WORKFLOW_STARTED, LogEvent.RESOURCES_INFO, LogEvent.JOB_STARTED}
SILENT |= {LogEvent.RULEGRAPH, LogEvent.GROUP_INFO}
CHATTER = (
    *(
        "Assuming unrestricted shared",
        "Building DAG of jobs",
        "Using shell:",
        "Conda environments:",
    ),
    *("Singularity containers:", "Group jobs:", "Select jobs to execute", "Elapsed time:"),
    *("Removing output files of failed job", "Shutting down, this might take", "Exiting because a"),
    *("WorkflowError:\nAt least one job did not complete", "None"),
)


@dataclass
class Job:
    """A running job as it is shown; `began` in seconds of time.time()."""

    title: str
    logs: list[str]
    shown: bool
    began: float


def title(rule: str, wildcards: Mapping[str, str]) -> str:
    """`train base (digits, seed 0)` for the rule train with network, track and seed."""
    names = dict(wildcards)
    aside = [names.pop("track")] if "track" in names else []
    aside += [f"{key} {names.pop(key)}" for key in ("seed", "shard") if key in names]
    words = " ".join([rule, *map(str, names.values())])
    return f"{words} ({', '.join(aside)})" if aside else words


def count(jobs: int) -> str:
    """`1 job`, `2 jobs`."""
    return f"{jobs} job{'s' * (jobs != 1)}"


def reason(logs: list[str], since: float) -> str:
    """Why a job failed: the last `leakboard:` message in its logs, else their last line, or ``."""
    for log in logs:
        with suppress(OSError):
            if Path(log).stat().st_mtime < since:
                continue  # an earlier attempt wrote it
            text = said(Path(log))
            _, found, message = f"\n{text}".rpartition("\nleakboard: ")
            lines = (message if found else text.rpartition("\n")[2]).splitlines()
            if lines:
                return "\n    ".join(lines[:5])
    return ""
