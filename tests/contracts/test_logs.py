"""A log says who wrote it, when, and how it ended; earlier attempts are kept; a live one beats."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leakboard import logs
from snakemake_logger_plugin_leakboard.words import reason

WORKFLOW = Path(__file__).parents[2] / "workflow"
CODE = "import os, sys, time\nfrom leakboard.job import job\nwith job('a.log') as this:\n    {}"


def step(folder: Path, body: str, **env: str) -> int:
    """Run `body` in a job of its own, in `folder`, as the process that comes back as its pid."""
    clean = {name: value for name, value in os.environ.items() if "LEAKBOARD" not in name}
    clean = {name: value for name, value in clean.items() if not name.startswith("SLURM")}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(body)],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(WORKFLOW), **env},
        stderr=subprocess.DEVNULL,
    )
    process.wait(30)
    return process.pid


def test_a_log_begins_with_who_and_when_and_ends_with_how(tmp_path: Path) -> None:
    before = int(time.time())
    pid = step(tmp_path, "this.earlier_seconds = 40; print('hello')")
    assert (tmp_path / "a.log").read_text().splitlines()[1:-1] == ["hello"]
    opened, ended = logs.opening(tmp_path / "a.log"), logs.ending(tmp_path / "a.log")
    assert opened is not None
    assert ended is not None
    assert opened == logs.Opening(opened.at, 1, platform.node(), pid, "")
    assert before <= opened.at <= ended.at <= time.time()
    assert (ended.how, ended.why, ended.earlier) == ("done", "", 40.0)
    assert 0 <= ended.seconds < 10
    assert list(tmp_path.iterdir()) == [tmp_path / "a.log"]


@pytest.mark.parametrize(
    ("body", "how", "why"),
    [
        ("raise OSError(28, 'No space left', 'x')", "failed", "the disk (or quota) is full"),
        ("{}['x']", "failed", "KeyError"),
        ("sys.exit(7)", "failed", "SystemExit 7"),
        ("sys.exit(0)", "done", ""),
        ("os.kill(os.getpid(), 15)", "stopped", "stopped by SIGTERM"),
        ("sys.stdout.write('no newline')", "done", ""),
        ("os.write(1, b'no newline')", "done", ""),
    ],
)
def test_the_last_line_says_why(body: str, how: str, why: str, tmp_path: Path) -> None:
    step(tmp_path, body)
    ended = logs.ending(tmp_path / "a.log")
    assert ended is not None
    assert ended.how == how
    assert ended.why.startswith(why)


def test_a_long_reason_and_a_long_log_are_found_by_their_end(tmp_path: Path) -> None:
    step(tmp_path, "print('x\\n' * 10**5); raise ValueError('ä\\n' * 10**4)")
    ended = logs.ending(tmp_path / "a.log")
    assert ended is not None
    assert ended.why.startswith("ValueError: ä ä ä")


def test_a_job_of_slurm_names_its_job_and_restart(tmp_path: Path) -> None:
    step(tmp_path, "pass", SLURM_JOB_ID="45", SLURM_RESTART_COUNT="1")
    opened = logs.opening(tmp_path / "a.log")
    assert opened is not None
    assert opened.slurm == "SLURM job 45, restart 1"


def test_logs_of_attempts_that_did_not_end_well_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    step(tmp_path, "print('one'); {}['x']")
    log.unlink()  # as Snakemake does
    step(tmp_path, "print('two'); os._exit(9)")
    step(tmp_path, "print('three')")
    kept = {name: (tmp_path / name).read_text() for name in ("a.log", "a.log.1", "a.log.2")}
    for (name, text), word in zip(kept.items(), ("three", "one", "two"), strict=True):
        assert f"\n{word}\n" in text, name
    attempts = [getattr(logs.opening(tmp_path / name), "attempt", None) for name in kept]
    assert attempts == [3, 1, 2]
    assert logs.ending(tmp_path / "a.log.2") is None
    assert not (tmp_path / "a.log.3").exists()


def test_no_more_logs_are_kept_than_a_person_reads(tmp_path: Path) -> None:
    for number in range(1, 31):
        (tmp_path / f"a.log.{number}").write_text("old")
    step(tmp_path, "{}['x']")
    assert {file.name for file in tmp_path.iterdir()} == {
        "a.log",
        *(f"a.log.{number}" for number in range(31 - logs.KEPT, 32)),
    }


def test_a_live_step_beats_and_a_finished_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "BEAT", 0.05)
    pulse = tmp_path / "a.log.progress"
    with logs.speaking_to(tmp_path / "a.log"):
        for _ in range(2):
            time.sleep(0.2)
            os.utime(pulse, (1.0, 1.0))
            time.sleep(0.2)
            assert pulse.stat().st_mtime > 1.0
    time.sleep(0.2)
    assert not pulse.exists()


def test_the_display_shows_what_the_step_said_and_not_the_marks(tmp_path: Path) -> None:
    step(tmp_path, "from leakboard.errors import UserError; raise UserError('a\\nb')")
    assert reason([str(tmp_path / "a.log")], 0.0) == "a\n    b"
    step(tmp_path, "print('Killed'); os._exit(9)")
    assert reason([str(tmp_path / "a.log")], 0.0) == "Killed"
    step(tmp_path, "os._exit(9)")
    assert reason([str(tmp_path / "a.log")], 0.0) == ""


def test_other_files_have_no_marks(tmp_path: Path) -> None:
    for content in ("", "# a comment\n", "# 2026-99-99T00:00:00Z done\n"):
        (tmp_path / "x").write_text(content)
        assert logs.opening(tmp_path / "x") is None
        assert logs.ending(tmp_path / "x") is None
    assert logs.opening(tmp_path / "none") is None
