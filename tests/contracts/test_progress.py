"""The arithmetic behind the display: counts, durations, and the time that is left."""

import os
import time
from pathlib import Path

import pytest

from leakboard.progress import Progress, clock, expected_seconds, look, read, report


def test_nothing_is_promised_before_the_first_job_has_started() -> None:
    assert Progress({"train": 2}, now=0.0).eta(5.0) is None


def test_a_training_weighs_more_than_a_statistic() -> None:
    assert expected_seconds("train") > 10 * expected_seconds("a rule nobody knows")


def test_the_time_left_counts_down_to_zero_as_equal_jobs_finish() -> None:
    progress = Progress({"attack": 4}, now=0.0)
    left = []
    for job in range(4):
        progress.started(job, "attack", now=10.0 * job)
        progress.finished(job, now=10.0 * (job + 1))
        left.append(progress.eta(10.0 * (job + 1)))
    assert left == pytest.approx([30.0, 20.0, 10.0, 0.0])
    assert (progress.done, progress.total) == (4, 4)


def test_two_jobs_side_by_side_halve_the_time_left() -> None:
    progress = Progress({"attack": 4}, now=0.0)
    for job in (0, 1):
        progress.started(job, "attack", now=0.0)
        progress.finished(job, now=10.0)
    assert progress.eta(10.0) == pytest.approx(10.0)


def test_a_fast_machine_shortens_what_is_expected_of_rules_not_yet_seen() -> None:
    progress = Progress({"train": 1, "sample": 1}, now=0.0)
    progress.started("a", "train", now=0.0)
    progress.finished("a", now=10.0)  # a tenth of what is expected
    left = progress.eta(10.0)
    assert left is not None
    assert left < 0.5 * expected_seconds("sample")


def test_one_quick_statistic_says_little_about_trainings() -> None:
    progress = Progress({"tests": 1, "train": 1}, now=0.0)
    progress.started("a", "tests", now=0.0)
    progress.finished("a", now=10.0)  # five times what is expected: an import, say
    left = progress.eta(10.0)
    assert left is not None
    assert left < 2 * expected_seconds("train")


def test_a_live_training_is_judged_by_its_pace_also_when_it_was_resumed() -> None:
    progress = Progress({"train": 1}, now=0.0)
    progress.started("a", "train", now=0.0)
    progress.stepped("a", 900, 1000, now=3.0)
    progress.stepped("a", 920, 1000, now=5.0)
    assert progress.eta(5.0) == pytest.approx(8.0)  # 80 steps, ten a second
    assert progress.eta(9.0) == pytest.approx(4.0)  # counts down between two reports


def test_a_live_training_tells_how_long_the_next_one_takes() -> None:
    progress = Progress({"train": 2}, now=0.0)
    progress.started("a", "train", now=0.0)
    progress.stepped("a", 100, 1000, now=1.0)
    progress.stepped("a", 200, 1000, now=2.0)
    assert progress.eta(2.0) == pytest.approx(8.0 + 1.0 + 10.0)  # and a second to load


def test_a_job_that_takes_longer_than_the_others_did_is_not_promised_to_end_now() -> None:
    progress = Progress({"attack": 2}, now=0.0)
    progress.started("a", "attack", now=0.0)
    progress.finished("a", now=1.0)
    progress.started("b", "attack", now=1.0)
    left = progress.eta(101.0)
    assert left is not None
    assert left >= 10.0


def test_a_failed_job_is_not_done_and_is_forgiven_when_it_starts_again() -> None:
    progress = Progress({"attack": 1}, now=0.0)
    progress.started("a", "attack", now=0.0)
    assert progress.finished("a", now=2.0, failed=True) == 2.0
    assert (progress.done, list(progress.failed)) == (0, ["a"])
    progress.started("a", "attack", now=3.0)
    assert not progress.failed


def test_a_report_is_read_back(tmp_path: Path) -> None:
    report(tmp_path / "a.log", 3, 10)
    assert read(tmp_path / "a.log") == (3, 10)
    report(tmp_path / "a.log", 10, 10)
    assert (look(tmp_path / "a.log") or ())[:3] == (10, 10, 3)


def test_reports_are_written_twice_a_second_at_most_but_the_last_one_always(tmp_path: Path) -> None:
    for step in range(1, 10):
        report(tmp_path / "b.log", step, 10)
    assert read(tmp_path / "b.log") == (1, 10)
    report(tmp_path / "b.log", 10, 10)
    assert read(tmp_path / "b.log") == (10, 10)


def test_no_report_a_broken_one_and_one_of_an_earlier_attempt_are_none(tmp_path: Path) -> None:
    log = tmp_path / "c.log"
    assert read(log) is None
    file = Path(f"{log}.progress")
    file.write_text("12")
    assert read(log) is None
    file.write_text("12 20 3 4.5\n")
    os.utime(file, (1.0, 1.0))
    assert read(log, since=time.time() - 5) is None
    assert read(log) == (12, 20)


def test_a_report_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    report(tmp_path / "no" / "such" / "folder.log", 1, 2)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (112.4, "1:52"), (7390, "2:03:10")])
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
