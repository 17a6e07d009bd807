"""A command's process: signals as often as they come, streams that are closed, threads and libraries that complain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
import sys, threading, time, warnings
from config_file.errors import UserError, run_main
"""
WAIT = """
def main(argv):
    print("begun", flush=True)
    try:
        while True:
            time.sleep(0.01)
    finally:
        time.sleep(SLOW)
run_main(main)
"""


def start(code: str, **streams: int | None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + code],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("times", "pause"), [(1, 0.0), (2, 0.0), (2, 0.3), (40, 0.02)])
def test_however_often_it_is_asked_to_end_it_ends_with_130(number: int, times: int, pause: float) -> None:
    process = start(WAIT.replace("SLOW", "0.5"))
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    for _ in range(times):
        if process.poll() is None:
            process.send_signal(number)
            time.sleep(pause)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert out == ""
    assert "Traceback" not in errors
    assert errors.count("\n") <= 1
    if times == 1:
        assert errors.startswith("interrupted: stopped; the same command starts again")


def test_an_import_that_turns_it_into_another_error_is_an_interruption_too() -> None:
    code = WAIT.replace(
        "time.sleep(0.01)", "\n            try: time.sleep(0.01)\n            except BaseException: raise ImportError"
    )
    process = start(code.replace("SLOW", "0"))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.count("\n")) == (130, 1), errors


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        ("OSError(28, 'x', 'runs/tensorboard')", 2, "error: runs/tensorboard: the disk is full\n"),
        ("BrokenPipeError(32, 'x')", 0, ""),
    ],
)
def test_the_error_of_a_thread_is_one_line(error: str, status: int, line: str) -> None:
    code = f"""
def work():
    raise {error}
def main(argv):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
run_main(main)
"""
    process = start(code)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (status, line)


def test_a_defect_in_a_thread_keeps_its_traceback() -> None:
    process = start(
        """
def work():
    raise ValueError('a defect')
def main(argv):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
run_main(main)
"""
    )
    _, errors = process.communicate(timeout=60)
    assert "ValueError: a defect" in errors


def test_warnings_of_libraries_are_one_line() -> None:
    process = start("def main(argv): warnings.warn('an image\\nof many pixels')\nrun_main(main)")
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "warning: an image of many pixels\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_quiet(closed: str) -> None:
    """Also no file is opened in their place, into which what is printed would go."""
    code = f"""{HEAD}
def main(argv):
    print('out')
    print('err', file=sys.stderr)
    raise UserError('wrong')
run_main(main)
"""
    done = subprocess.run(
        f'"{sys.executable}" -c "$CODE" {closed}',
        shell=True,
        env={**os.environ, "CODE": code},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr in ("", "err\nerror: wrong\n")


def test_both_streams_of_a_reader_that_has_gone() -> None:
    code = HEAD + "\ndef main(argv):\n    for _ in range(10**5): print('x' * 100)\nrun_main(main)"
    done = subprocess.run(
        f'"{sys.executable}" -c "$CODE" 2>&1 | head -1; echo ${{PIPESTATUS[0]}}',
        shell=True,
        executable="/bin/bash",
        env={**os.environ, "CODE": code},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["x" * 100, "141"]
    assert done.stderr == ""


def test_python_does_not_end_by_the_signal_itself_where_it_left_the_text_of_an_exec(tmp_path: Path) -> None:
    """As of a dataclass that is made: CPython remembers that, whoever caught the exception, for `python -m`."""
    text = "import os, signal\\nos.kill(os.getpid(), signal.SIGINT)\\nfor _ in range(1000): pass"
    (tmp_path / "door.py").write_text(f"{HEAD}\ndef main(argv):\n    exec('{text}')\nrun_main(main)")
    path = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "door"], env={**os.environ, **path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (130, 1), done.stderr


def test_garbage_is_not_looked_for_at_the_end() -> None:
    """With torch imported that takes longer than the end."""
    code = """
class Circle:
    def __init__(self): self.itself = self
    def __del__(self): print('found', flush=True)
def main(argv):
    Circle()
    print('done')
run_main(main)
"""
    process = start(code)
    assert process.communicate(timeout=60) == ("done\n", "")
    assert process.returncode == 0


def test_a_signal_after_help_changes_nothing_any_more() -> None:
    """Python takes handlers away before it ends, which takes a while with torch."""
    code = """
import os, signal
class Last:
    def __init__(self):
        self.kill, self.pid, self.signal = os.kill, os.getpid(), signal.SIGINT
    def __del__(self):
        self.kill(self.pid, self.signal)
sys.last = Last()
def main(argv):
    raise SystemExit(0)
run_main(main)
"""
    process = start(code)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0


DOORS = [
    ["train_supernet.py"], ["search.py"], ["retrain.py"], ["export.py"], ["-m", "supernet"],
    ["-m", "lookup_tables", "build"], ["-m", "search.rank"], ["-m", "search.verdict"], ["-m", "search.report"],
    ["-m", "search.zero_cost"],
]  # fmt: skip


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("door", DOORS, ids=" ".join)
def test_ctrl_c_while_a_command_is_imported_is_one_line(door: list[str], again: bool) -> None:
    """From the moment on that our code runs, some 30 ms after the start; torch takes seconds."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, *door, "--help"], cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
    status = Path(f"/proc/{process.pid}/status")
    while not _catches_sigterm(status.read_text()):
        time.sleep(0.002)  # Python itself catches SIGINT only
    time.sleep(0.2)
    for _ in range(1 + again):
        process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), errors
    assert errors == "interrupted: stopped; the same command starts again, with --resume where a run had begun\n"


def _catches_sigterm(status: str) -> bool:
    (caught,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)
