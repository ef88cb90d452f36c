"""What a step leaves behind, and what it says, when it ends well and when it does not."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from leakboard.files import atomic, write_bytes
from leakboard.job import explain, identity

WORKFLOW = Path(__file__).parents[2] / "workflow"


def step(folder: Path, body: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `body` in a process of its own, inside job(), in `folder`."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    code = (
        "import sys, os, warnings, logging, resource, signal\n"
        "from leakboard.errors import UserError\n"
        "from leakboard.files import atomic, write_bytes\n"
        "from leakboard.job import job\n"
        "with job('logs/a.log', 'perf/a.json', about={'stage': 'train', 'seed': 0}) as this:\n"
    )
    clean = {name: value for name, value in os.environ.items() if "LEAKBOARD" not in name}
    return subprocess.run(
        [sys.executable, "-c", code + lines],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(WORKFLOW), **env},
        capture_output=True,
        text=True,
        timeout=30,
    )


def said(log: Path) -> str:
    """What a step wrote, between the first and the last line of its log."""
    first, *lines, last = log.read_text().splitlines(keepends=True)
    assert first.startswith("# ")
    assert last.startswith("# ")
    return "".join(lines)


def test_all_that_a_step_says_is_in_its_log_and_none_on_the_terminal(tmp_path: Path) -> None:
    body = """
print('a print')
warnings.warn('a warning')
logging.getLogger('x').info('a message')
os.system('echo from a child')
"""
    done = step(tmp_path, body)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log = (tmp_path / "logs/a.log").read_text()
    for said in ("a print", "a warning", "a message", "from a child"):
        assert said in log


def test_a_step_that_succeeds_says_what_it_cost(tmp_path: Path) -> None:
    step(tmp_path, "this.earlier_seconds = 100.0\nsum(range(10**6))")
    text = (tmp_path / "perf/a.json").read_text()
    cost = json.loads(text)
    assert list(cost) == sorted(cost)
    assert (cost["stage"], cost["seed"], cost["device"]) == ("train", 0, "cpu")
    assert 100.0 < cost["seconds"] < 110.0
    assert 5 < cost["peak_memory_mb"] < 200
    assert cost["gpu_peak_memory_mb"] == 0
    assert cost["threads"] >= 1
    assert cost["cpu_seconds"] > 0


def test_a_mistake_of_the_user_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    body = """
with atomic('out/a.npz') as path:
    path.write_text('half')
    raise UserError('config.yaml: tracks: no track x; did you mean y?')
"""
    done = step(tmp_path, body)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "leakboard: config.yaml: tracks: no track x; did you mean y?\n"
    assert said(tmp_path / "logs/a.log") == done.stderr
    assert not (tmp_path / "perf").exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_under_a_display_the_message_is_in_the_log_only(tmp_path: Path) -> None:
    done = step(tmp_path, "raise UserError('no')", LEAKBOARD_DISPLAY="1")
    assert (done.returncode, done.stderr) == (1, "")
    assert said(tmp_path / "logs/a.log") == "leakboard: no\n"


def test_a_defect_is_named_and_its_traceback_is_in_the_log(tmp_path: Path) -> None:
    done = step(tmp_path, "{}['key']")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "leakboard: KeyError: 'key' (the traceback is in logs/a.log)"
    ]
    log = said(tmp_path / "logs/a.log")
    assert "Traceback" in log
    assert log.endswith(done.stderr)


def test_an_exit_and_an_interrupt_pass_through(tmp_path: Path) -> None:
    assert step(tmp_path, "sys.exit(7)").returncode == 7
    assert "KeyboardInterrupt" in step(tmp_path, "raise KeyboardInterrupt").stderr


def test_within_a_workflow_an_interrupt_is_a_line_in_the_log(tmp_path: Path) -> None:
    done = step(tmp_path, "raise KeyboardInterrupt", LEAKBOARD_WORKFLOW_PID=identity(os.getpid()))
    assert (done.returncode, done.stderr) == (130, "")
    assert said(tmp_path / "logs/a.log") == "leakboard: interrupted\n"


def test_a_full_disk_is_said_in_words_and_the_old_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_text("old")
    body = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write_bytes('weights.bin', bytes(10**6))
"""
    done = step(tmp_path, body)
    assert done.returncode == 1
    assert re.fullmatch(
        r"leakboard: the disk \(or quota\) is full while writing weights.bin;"
        r" free space .* finished results are kept\n",
        done.stderr,
    )
    assert (tmp_path / "weights.bin").read_text() == "old"
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_full_disk_is_recognized_behind_the_error_of_a_library() -> None:
    error = ValueError("cannot close the archive")
    error.__context__ = OSError(28, "No space left on device")
    assert "disk" in (explain(error) or "")
    assert "disk" in (explain(OSError("500000 requested and 12288 written")) or "")
    assert explain(OSError(2, "No such file or directory", "x")) is None


def test_too_little_memory_is_said_in_words() -> None:
    cuda = type("OutOfMemoryError", (RuntimeError,), {})
    for error in (MemoryError(), cuda("CUDA out of memory. Tried to allocate 2 GiB")):
        assert "not enough memory" in (explain(error) or "")


def test_a_file_appears_whole_and_with_its_folders(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a/b/c.bin", b"new")
    assert (tmp_path / "a/b/c.bin").read_bytes() == b"new"
    assert len(list((tmp_path / "a/b").iterdir())) == 1


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with atomic(tmp_path / "network") as folder:
            folder.mkdir()
            (folder / name).touch()
    assert [file.name for file in (tmp_path / "network").iterdir()] == ["new"]


def test_what_a_killed_process_left_is_swept_and_what_a_live_one_writes_is_not(
    tmp_path: Path,
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with atomic(tmp_path / "a.bin") as ours:
        ours.write_text("ours")
        left = ours.with_name(ours.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
        left.write_text("left")
        write_bytes(tmp_path / "b.bin", b"")  # another file
        assert left.exists()
    live = left.with_name(left.name.replace(f"-{dead.pid}-", f"-{os.getppid()}-"))
    live.write_text("theirs")
    write_bytes(tmp_path / "a.bin", b"new")
    assert {file.name for file in tmp_path.iterdir()} == {"a.bin", "b.bin", live.name}


def test_what_a_job_on_a_lost_machine_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    yesterday = time.time() - 24 * 3600
    old, young, busy, other = (
        tmp_path / f".tmp-node-7.cluster-{name}" for name in ("1-a", "2-a", "3-a", "4-ab")
    )
    for folder in (old, busy, other):
        folder.mkdir()
        (folder / "weights").touch()
    young.touch()
    for file in (old / "weights", busy / "earlier", other / "weights", old, busy, other):
        file.touch()
        os.utime(file, (yesterday, yesterday))
    write_bytes(tmp_path / "a", b"new")
    assert {file.name for file in tmp_path.iterdir()} == {"a", young.name, busy.name, other.name}


def test_a_step_imports_nothing_heavy() -> None:
    code = (
        "import leakboard.run, sys; sys.exit('snakemake' in sys.modules or 'torch' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0
