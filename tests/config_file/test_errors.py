"""UserError, hints and the exit of a script."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from config_file.errors import UserError, choose, nearest, run_main


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("proxylesnas", "; did you mean 'proxylessnas'?"),
        ("FBNet_S", "; did you mean 'fbnet_s'?"),
        ("evo", "; did you mean 'evolution'?"),
        ("zzz", ""),
    ],
)
def test_nearest(name: str, hint: str) -> None:
    assert nearest(name, ["proxylessnas", "fbnet_s", "evolution"]) == hint


def test_choose() -> None:
    registry = {"random": 1, "regularized_evolution": 2}
    assert choose("strategy", "random", registry) == 1
    assert choose("strategy", "regularized-evolution", registry) == 2
    with pytest.raises(UserError, match=r"^unknown strategy 'randon'; did you mean 'random'\? \(choices: random, reg"):
        choose("strategy", "randon", registry)
    many = {f"network{number}": number for number in range(87)}
    with pytest.raises(UserError, match=r"did you mean 'network80'\? \(choices: network0, .*network29 and 57 more\)$"):
        choose("network", "netwrk80", many)


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("no such\nspace"), 2, "error: no such space\n"),
        (KeyboardInterrupt(), 130, "interrupted: stopped; the same command starts again, with --resume where"),
        (KeyboardInterrupt("nothing was written"), 130, "interrupted: nothing was written\n"),
        (OSError(errno.ENOSPC, "x", "runs/a/log.txt"), 2, "error: runs/a/log.txt: the disk is full\n"),
        (MemoryError(), 2, "error: out of memory; try a smaller --batch-size"),
        (RuntimeError("alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you"), 2, "error: out of memory"),
        (OSError(errno.ENOSPC, "x"), 2, "error: the disk is full\n"),
        (PermissionError(errno.EACCES, "x", "runs"), 2, "error: runs: no permission\n"),
        (FileNotFoundError(errno.ENOENT, "x", "a.pt"), 2, "error: a.pt: no such file or folder\n"),
        (NotADirectoryError(errno.ENOTDIR, "x", "a/b"), 2, "error: a/b: a file stands where a folder is needed\n"),
        (OSError(errno.ELOOP, "x", "a"), 2, "error: a: its links lead in a circle\n"),
        (OSError(errno.EMFILE, "x", "a"), 2, "error: a: too many files are open\n"),
    ],
)
def test_run_main_ends_in_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run_main(lambda argv: _raise(error))
    assert end.value.code == status
    out, err = capsys.readouterr()
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_run_main_gives_the_status(returned: int | None, status: int) -> None:
    with pytest.raises(SystemExit) as end:
        run_main(lambda argv: returned, [])
    assert end.value.code == status


@pytest.mark.parametrize("error", [ValueError("a defect"), RuntimeError("a defect"), OSError(errno.EIO, "hardware")])
def test_defects_keep_their_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        run_main(lambda argv: _raise(error))


def test_closed_pipe_is_quiet() -> None:
    code = (
        "from config_file.errors import run_main\nrun_main(lambda argv: [print('x' * 100) for _ in range(10**5)] and 0)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("count", [1, 10**5])
def test_printing_to_a_full_disk_is_one_line(count: int) -> None:
    work = f"[print('x' * 100) for _ in range({count})] and 0"
    code = f"from config_file.errors import run_main\nrun_main(lambda argv: {work})"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: the disk is full\n")


def test_importing_the_room_does_not_import_torch() -> None:
    code = (
        "import sys, config_file.loader, config_file.options, config_file.run_folder, config_file.plugins\n"
        "print([name for name in ('torch', 'tensorboard', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
