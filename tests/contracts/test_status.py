"""`leakboard status`: what is done, runs, failed or waits, read from files of a made folder."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leakboard import logs, status
from leakboard.errors import UserError

WORKFLOW = Path(__file__).parents[2] / "workflow"
STAGES = ["subset", "train", "sample", "page"]


class Board:
    """A results folder and the jobs that a run has planned for it."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.jobs = [self.job("subset", "tiny")]
        self.jobs += [self.job("train", f"net{i}") for i in range(4)]
        self.jobs += [self.job("sample", f"{i}") for i in range(3)]
        self.plan(age=10_000)

    def plan(self, age: float) -> None:
        """As a run does when it begins, `age` seconds ago."""
        status.plan(self.jobs, [*STAGES, "unused"], str(self.results))
        os.utime(self.results / status.PLANNED, (time.time() - age,) * 2)

    def job(self, stage: str, name: str) -> dict:
        at = self.results
        outputs = {kind: f"{at}/tiny/{stage}/{name}.{kind}" for kind in ("npz", "json")}
        log = f"{at}/logs/{stage}/{name}.log"
        about = {"rule": stage, "title": f"{stage} {name}", "undone": name != "net1"}
        return {**about, "log": log, "outputs": outputs}

    def done(self, number: int, seconds: float = 10.0) -> None:
        job = self.jobs[number]
        self.log(number, f"# {stamp()} done in {seconds} s\n")
        for path in map(Path, job["outputs"].values()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def log(self, number: int, end: str, host: str = "far-away", pid: int = 1, age: int = 60):
        log = Path(self.jobs[number]["log"])
        log.parent.mkdir(parents=True, exist_ok=True)
        who = f"attempt 2 on {host}, process {pid}, SLURM job 7"
        log.write_text(f"# {stamp(age)} {who}\nhello\n{end}", encoding="utf-8")
        return log

    def live(self, number: int, silent: float = 0.0, said: str = "", **about) -> None:
        pulse = Path(f"{self.log(number, '', **about)}.progress")
        pulse.write_text(said)
        os.utime(pulse, (time.time() - silent,) * 2)

    def states(self) -> list[status.State]:
        return status.survey(self.results, status._planned(self.results)["jobs"])


def stamp(age: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() - age, UTC).strftime(logs.FORM)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path / "results")


def test_every_job_is_in_one_state_and_stages_are_in_running_order(board, capsys) -> None:
    board.done(0)
    board.done(1)
    board.live(2, said="30 100 10 40.0\n")
    board.log(3, f"# {stamp()} failed after 3.0 s: not enough memory; make the batch smaller\n")
    board.live(4, silent=1000)
    board.log(5, f"# {stamp()} stopped after 3.0 s: stopped by SIGTERM at step 3 of 9\n")
    board.log(6, "")
    assert [each.state for each in board.states()] == [
        *("done", "done", "running", "failed", "lost", "waiting", "lost", "waiting"),
    ]
    assert status.main(board.results, as_json=False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{board.results}: as of the last `leakboard run` (20")
    table = [line.split() for line in lines[2:7]]
    assert table == [
        ["stage", *status.STATES],
        ["subset", "1", ".", ".", ".", "."],
        ["train", "1", "1", "1", "1", "."],
        ["sample", ".", ".", ".", "1", "2"],
        ["all", "2", "1", "1", "2", "2"],
    ]
    text = "\n".join(lines)
    running = lines[lines.index("running:") + 1].split("  ")
    assert running.pop(4) in ("1:00", "1:01", "1:02")
    assert running[1:] == [
        *("train net1", "far-away (SLURM job 7)", "step 30/100", "2.0 s a step"),
        *("about 2:20 left", "attempt 2"),
    ]
    assert "train net2: not enough memory; make the batch smaller (on far-away)\n    log:" in text
    assert "train net3: no sign of life for 16:40 (on far-away)" in text
    assert "sample 1: its log breaks off" in text
    stopped = lines[lines.index("stopped, and will go on:") + 1]
    assert stopped == "  sample 0: stopped by SIGTERM at step 3 of 9 (on far-away)"
    assert lines[-1].startswith("2 of 8 jobs done (25 %), about ")


def test_exit_codes_tell_done_from_not_yet_and_failed(board, capsys) -> None:
    assert status.main(board.results, as_json=False) == 3
    for number in range(8):
        board.done(number)
    assert status.main(board.results, as_json=False) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "8 of 8 jobs done (100 %)"
    Path(board.jobs[3]["outputs"]["npz"]).unlink()
    assert status.main(board.results, as_json=False) == 3  # it ended well; its result is gone
    board.log(3, f"# {stamp()} failed after 3.0 s: no\n")
    assert status.main(board.results, as_json=False) == 1
    Path(board.jobs[3]["log"]).write_text("")  # as Snakemake leaves it when Python cannot start
    assert status.main(board.results, as_json=False) == 1


def test_what_was_before_the_last_run_began_is_to_be_done_again(board) -> None:
    for number in (0, 2):
        board.done(number)
    board.log(3, f"# {stamp()} failed after 3.0 s: no\n")
    board.live(4, silent=1000)
    board.live(5)
    board.log(6, "")
    told = [each.state for each in board.states()]
    assert told == ["done", "waiting", "done", "failed", "lost", "running", "lost", "waiting"]
    board.plan(age=-60)  # all of this is older than the plan
    told = [each.state for each in board.states()]
    assert told == [*("waiting", "waiting", "done"), *["waiting"] * 5]  # train net1 needs no run
    board.plan(age=100)
    assert board.states()[0].state == "done"


def test_scripts_get_the_same_as_json(board, capsys) -> None:
    board.done(0)
    board.live(1, said="30 100 10 40.0\n")
    board.log(5, f"# {stamp()} stopped after 3.0 s: stopped by SIGTERM\n")
    assert status.main(board.results, as_json=True) == 3
    told = json.loads(capsys.readouterr().out)
    assert list(told["stages"]) == ["subset", "train", "sample"]
    assert told["stages"]["train"] == {
        **dict.fromkeys(status.STATES, 0),
        "running": 1,
        "waiting": 3,
    }
    running, stopped = told["jobs"]
    assert (running["state"], running["pace"], running["left"]) == ("running", 2.0, 140.0)
    assert (stopped["state"], stopped["why"]) == ("waiting", "stopped by SIGTERM")
    assert told["seconds_left"] > 140


def test_what_finished_jobs_took_tells_what_is_left(board) -> None:
    for number in (0, 1, 2):
        board.done(number, seconds=100.0)
    left = status.remaining(board.results, board.states())
    assert left is not None
    assert 200 < left < 1000  # two trainings of 100 s, and three samplings
    board.live(3, age=40, said="0 0 0 0\n")
    board.live(4, age=40, said="0 0 0 0\n")
    side_by_side = status.remaining(board.results, board.states())
    assert side_by_side is not None
    assert side_by_side < 0.6 * left


def test_attempts_that_a_job_went_on_from_count(board) -> None:
    before = f"# {stamp()} done in 10.0 s, after 990.0 s before\n"
    board.done(1)
    board.log(1, before)
    board.done(0)
    left = status.remaining(board.results, board.states())
    assert left is not None
    assert left > 3000


def test_nothing_is_promised_before_the_first_job_has_begun(board) -> None:
    assert status.remaining(board.results, board.states()) is None


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real step at work on a log, which reports its steps."""
    code = (
        "import time; from leakboard.job import job; from leakboard.progress import report\n"
        "with job('results/logs/train/net1.log'):\n"
        "    for step in range(1000): report('results/logs/train/net1.log', step, 1000);"
        " time.sleep(0.02)"
    )
    env = {name: text for name, text in os.environ.items() if "LEAKBOARD" not in name}
    env["PYTHONPATH"] = str(WORKFLOW)
    one = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=env)
    yield one
    one.kill()
    one.wait()


def test_a_real_step_is_seen_to_run_to_be_killed_and_to_be_stopped(board, process) -> None:
    end = time.monotonic() + 30
    while (seen := board.states()[2]).pace is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (seen.state, seen.host, seen.steps) == ("running", platform.node(), 1000)
    assert 0.015 < seen.pace < 1.0
    process.kill()
    process.wait()
    assert board.states()[2].state == "running"  # for all that files tell, so soon
    pulse = Path(f"{board.jobs[2]['log']}.progress")
    long_ago = time.time() - 4 * logs.BEAT
    os.utime(pulse, (long_ago, long_ago))
    assert board.states()[2].state == "lost"  # at once: its process is of this machine


def test_the_clocks_of_other_machines_do_not_matter(board, monkeypatch) -> None:
    board.live(1)
    monkeypatch.setattr(time, "time", lambda: 10.0)  # this machine believes it is 1970
    assert board.states()[1].state == "running"
    board.live(1, silent=status.LOST - 20, age=0)
    monkeypatch.undo()
    board.live(1, silent=status.LOST - 20)
    assert board.states()[1].state == "running"


def test_a_folder_that_may_only_be_read_is_enough(board) -> None:
    assert status.clock(board.results / "none") == pytest.approx(time.time(), abs=5)
    assert status.clock(board.results / "logs") == pytest.approx(time.time(), abs=5)
    assert [file.name for file in (board.results / "logs").iterdir()] == ["jobs.json"]


def test_a_folder_without_a_run_is_named_with_the_cure(tmp_path) -> None:
    with pytest.raises(UserError, match=rf"{tmp_path}: no run has said .* `leakboard run`"):
        status.main(tmp_path, as_json=False)


def test_five_thousand_jobs_are_told_in_a_second_without_torch_or_snakemake(tmp_path) -> None:
    board = Board(tmp_path / "results")
    board.jobs = [board.job(STAGES[i % 4], f"{i % 70}/{i}") for i in range(5000)]
    board.plan(age=10_000)
    for i in range(4000):
        board.done(i)
    for i in range(4000, 4100):
        board.live(i, said="30 100 10 40.0\n")
    code = (
        "import sys, time; start = time.process_time()\n"
        "from leakboard.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    print(time.process_time() - start, {'torch', 'snakemake', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status", str(board.results)],
        env=os.environ | {"PYTHONPATH": str(WORKFLOW)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 3
    *_, said, cost = done.stdout.splitlines()
    assert said.startswith("4000 of 5000 jobs done (80 %), about ")
    seconds, modules = cost.split(" ", 1)
    assert modules == "set()"
    assert float(seconds) < 2.0
    print(cost)
