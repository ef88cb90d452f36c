"""Real runs, killed and failing: nobody goes on, no lock stays, and the display says why."""

import ast
import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from leakboard.run import KEEP_MEMORY, main
from waiting import until

WORKFLOW = Path(__file__).parents[2] / "workflow"
ENV = {name: value for name, value in os.environ.items() if "LEAKBOARD" not in name}
ENV |= {"PYTHONPATH": str(WORKFLOW), "PYTHONUTF8": "1", "TERM": "xterm"}
SNAKEFILE = """
from leakboard.run import guard
guard()
rule all:
    input: "good.txt", "slow.txt"
rule good:
    output: "good.txt"
    log: "logs/good.log"
    script: "good.py"
rule slow:
    output: "slow.txt"
    log: "logs/slow.log"
    priority: 1
    script: "slow.py"
rule bad:
    output: "bad.txt"
    log: "logs/bad.log"
    script: "bad.py"
rule broken:
    output: "broken.txt"
    log: "logs/broken.log"
    script: "broken.py"
"""
STEP = """
import os, time
from pathlib import Path
from leakboard.errors import UserError
from leakboard.job import job
from leakboard.progress import report
with job(snakemake.log[0]):
    {body}
    Path(snakemake.output[0]).touch()
"""
SLOW = "Path('pid').write_text(str(os.getpid())); report(snakemake.log[0], 1, 9); time.sleep({})"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workflow of one quick rule, one slow one, and two that fail."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "good.py").write_text(STEP.format(body="pass"))
    (tmp_path / "slow.py").write_text(STEP.format(body=SLOW.format(60)))
    bad = "raise UserError('config.yaml: members: expected at most 5, found 9')"
    (tmp_path / "bad.py").write_text(STEP.format(body=bad))
    (tmp_path / "broken.py").write_text("import no_such_module")
    return tmp_path


def test_jobs_keep_freed_memory_unless_the_user_says_otherwise() -> None:
    code = "import os; from leakboard.run import guard; guard(); print(dict(os.environ))"
    for given in ({}, {"MALLOC_TRIM_THRESHOLD_": "131072"}):
        env = {name: value for name, value in ENV.items() if not name.startswith("MALLOC")}
        run = [sys.executable, "-c", code]
        done = subprocess.run(run, env=env | given, capture_output=True, text=True, check=True)
        seen = ast.literal_eval(done.stdout)
        assert {name: seen[name] for name in KEEP_MEMORY} == KEEP_MEMORY | given


@contextlib.contextmanager
def started(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed, with all its children, when the test is over."""
    with open(folder / "out.txt", "wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=ENV, stdout=out, stderr=out)
        try:
            yield process
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()


def pid_of_the_slow_step(folder: Path) -> int:
    """The process of the slow step, once it runs."""
    file = folder / "pid"
    assert until(lambda: file.exists() and file.read_text(), 25), (folder / "out.txt").read_text()
    return int(file.read_text())


def gone(pid: int) -> bool:
    """Whether a process no longer runs."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def snakemake(*args: str) -> list[str]:
    """The command of a plain run."""
    return [sys.executable, "-m", "snakemake", "--cores", "2", *args]


def leakboard(*args: str) -> list[str]:
    """The command of `leakboard run`."""
    code = "import sys; from leakboard.run import main; main(sys.argv[1:])"
    return [sys.executable, "-c", code, *args]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; stdout and stderr come back as one text."""
    return subprocess.run(
        command,
        cwd=folder,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=40,
    )


def test_a_step_ends_with_its_killed_workflow_and_the_next_run_removes_the_lock(
    folder: Path,
) -> None:
    with started(snakemake("slow.txt"), folder) as workflow:
        step = pid_of_the_slow_step(folder)
        workflow.send_signal(signal.SIGKILL)
        workflow.wait()
        assert until(lambda: gone(step), 2.0)
    assert list((folder / ".snakemake/locks").iterdir())
    (folder / "slow.py").write_text(STEP.format(body="pass"))
    again = run(leakboard("--rerun-incomplete"), folder)
    assert again.returncode == 0, again.stdout
    assert "its lock is removed" in again.stdout
    assert (folder / "slow.txt").exists()
    assert (folder / "good.txt").exists()


def test_a_live_run_is_respected(folder: Path) -> None:
    with started(snakemake("slow.txt"), folder) as workflow:
        pid_of_the_slow_step(folder)
        second = run(leakboard(), folder)
        assert second.returncode == 1
        assert second.stdout.count("\n") == 1
        assert f"process {workflow.pid}" in second.stdout
        assert list((folder / ".snakemake/locks").iterdir())
        assert run(leakboard("-n"), folder).returncode == 0  # a dry run may look
        (folder / "elsewhere").mkdir()
        other = run(leakboard("--directory", "elsewhere", "good.txt"), folder)
        assert other.returncode == 0
        assert (folder / "elsewhere/good.txt").exists()


def test_a_lock_of_another_machine_is_respected(folder: Path) -> None:
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.output.lock").write_text("good.txt\n")
    (folder / ".snakemake/leakboard-host").write_text("far-away\n")
    done = run(leakboard("good.txt"), folder)
    assert done.returncode == 1
    assert "far-away" in done.stdout
    assert (folder / ".snakemake/locks/0.output.lock").exists()


@pytest.mark.parametrize(
    ("args", "added"),
    [
        ([], True),
        (["all", "-k"], True),
        (["-np"], True),
        (["--cores", "2"], False),
        (["-c2"], False),
        (["--cores=all", "x"], False),
        (["--profile", "profiles/slurm"], False),
        (["--workflow-profile", "profiles/slurm"], False),
    ],
)
def test_every_core_is_used_unless_the_person_says_how_many(
    args: list[str], added: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execve", lambda path, argv, env: called.append(argv))
    main(args)
    cores = ["--cores", "all"] if added else []
    assert called == [[sys.executable, "-m", "snakemake", *cores, *args]]


def test_a_killed_make_ends_the_workflow_and_its_steps(folder: Path) -> None:
    command = " ".join(f"'{word}'" for word in leakboard("slow.txt"))
    (folder / "Makefile").write_text(f"all:\n\t@{command}\n")
    with started(["make"], folder) as make:
        step = pid_of_the_slow_step(folder)
        workflow = psutil.Process(step).parent()
        assert workflow is not None
        assert workflow.pid != make.pid
        make.send_signal(signal.SIGKILL)
        make.wait()
        assert until(lambda: gone(workflow.pid), 2.0)
        assert until(lambda: gone(step), 2.0)


SAVING = """Path('pid').write_text(str(os.getpid()))
    try:
        time.sleep(60)
    except BaseException:
        time.sleep(3)
        Path('saved').touch()
        raise"""


@pytest.mark.parametrize("old_bash", [False, True])
def test_when_all_are_told_to_end_the_workflow_waits_for_what_steps_save(
    folder: Path, old_bash: bool
) -> None:
    (folder / "slow.py").write_text(STEP.format(body=SAVING))
    if old_bash:  # which stays between Snakemake and the step, and ends first
        (folder / "Snakefile").write_text(f"shell.suffix('; exit')\n{SNAKEFILE}")
    command = ["setsid", *snakemake("slow.txt")]
    with started(command, folder) as workflow:
        step = psutil.Process(pid_of_the_slow_step(folder))
        between = step.parent()
        assert between is not None
        assert (between.name() == "bash") == old_bash
        os.killpg(workflow.pid, signal.SIGTERM)
        assert workflow.wait(20) == 1
        assert gone(step.pid)
    assert (folder / "saved").exists()
    assert "stopped by SIGTERM" in (folder / "logs/slow.log").read_text()
    assert not (folder / "slow.txt").exists()


def test_a_workflow_that_is_told_to_end_lets_its_steps_finish(folder: Path) -> None:
    (folder / "slow.py").write_text(STEP.format(body=SLOW.format(4)))
    with started(leakboard("-c1", "slow.txt", "good.txt"), folder) as workflow:
        pid_of_the_slow_step(folder)
        workflow.terminate()
        assert workflow.wait(20) == 1
    assert (folder / "slow.txt").exists()
    assert not (folder / "good.txt").exists()


def test_a_reused_process_id_counts_as_an_ended_workflow(folder: Path) -> None:
    code = (
        "import os, time; from leakboard.job import job\n"
        f"os.environ['LEAKBOARD_WORKFLOW_PID'] = '{os.getpid()}:1.0'\n"
        "with job('a.log'): time.sleep(30)"
    )
    assert run([sys.executable, "-c", code], folder).returncode == 1
    assert "ended" in (folder / "a.log").read_text()


def test_without_a_terminal_every_job_is_one_line_and_a_failure_gives_its_reason(
    folder: Path,
) -> None:
    done = run(snakemake("--logger=leakboard", "-k", "good.txt", "bad.txt", "broken.txt"), folder)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(re.search(r"✓ good  0:0\d  \[\d/3 jobs  \d+ %  elapsed 0:", line) for line in lines)
    at = next(i for i, line in enumerate(lines) if "✗ bad failed" in line)
    assert lines[at + 1].strip() == "config.yaml: members: expected at most 5, found 9"
    assert lines[at + 2].strip() == "log: logs/bad.log"
    assert done.stdout.count("expected at most 5") == 1
    assert "No module named 'no_such_module'" in done.stdout
    assert "✗ broken failed" in done.stdout
    assert "leakboard: 1 of 3 jobs done, 2 failed" in lines[-1]
    assert "CalledProcessError" not in done.stdout
    assert "\x1b" not in done.stdout


def test_errors_before_the_first_job_and_dry_runs_look_as_ever(folder: Path) -> None:
    missing = run(snakemake("--logger=leakboard", "nothing.txt"), folder)
    assert missing.returncode == 1
    assert "MissingRuleException" in missing.stdout
    dry = run(snakemake("--logger=leakboard", "-n", "good.txt"), folder)
    assert dry.returncode == 0
    assert "rule good:" in dry.stdout
    assert "dry-run" in dry.stdout


def test_on_a_terminal_a_block_is_rewritten_and_foreign_lines_stay(folder: Path) -> None:
    (folder / "slow.py").write_text(STEP.format(body=SLOW.format(1.5)))
    command = snakemake("--logger=leakboard", "-k", "all", "bad.txt", "broken.txt")
    here, side = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, env=ENV, stdout=side, stderr=side)
    os.close(side)
    shown = b""
    with contextlib.suppress(OSError):  # the way in which a terminal says that it is over
        while part := os.read(here, 4096):
            shown += part
    os.close(here)
    assert process.wait() == 1
    text = shown.decode()
    assert "\x1b[J" in text
    assert "step 1/9" in text
    assert "━" in text
    assert "✗ bad failed" in text
    assert "expected at most 5" in text
    last = screen(text)
    assert "ModuleNotFoundError: No module named 'no_such_module'" in last
    assert any(line.startswith("✓ slow") for line in last)
    assert last[-1].startswith("leakboard: 3 of 5 jobs done, 2 failed")
    assert not any("elapsed" in line for line in last)  # the block is gone


def screen(text: str) -> list[str]:
    """What a very large terminal shows after `text`; knows up and clear, ignores color."""
    lines = [""]
    for part in re.split(r"(\x1b\[\d*[A-Za-z]|\r?\n|\r)", text):
        if part.endswith("\n"):
            lines.append("")
        elif up := re.fullmatch(r"\x1b\[(\d+)A", part):
            lines[-1 - int(up[1]) :] = [""]
        elif not part.startswith(("\x1b", "\r")):
            lines[-1] += part
    return [line for line in lines if line]
