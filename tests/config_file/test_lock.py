"""One process per folder: held while written, free when its process has died, one line for everybody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from config_file.lock import only_process
from config_file.run_folder import RunFolder
from search.options import SearchOptions

HOLD = """
import os, sys, time
from pathlib import Path
from config_file.lock import only_process
with only_process(Path(sys.argv[1])):
    if sys.argv[2:] and os.fork() == 0:
        time.sleep(60)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def options(**values: Any) -> SearchOptions:
    return SearchOptions(**{"title": "a", "tensorboard": False, **values})


def holder(folder: str, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("flag", ["resume", "overwrite"])
def test_a_folder_that_is_being_written_is_refused(flag: str) -> None:
    with RunFolder.open(options()) as folder:
        folder.file("best.json").write_text("x")
    before = sorted(path.name for path in folder.path.iterdir())
    process = holder("runs/a/search")
    try:
        with pytest.raises(UserError, match=r"^runs/a/search is being written by another process: wait"):
            RunFolder.open(options(**{flag: True}))
        assert sorted(path.name for path in folder.path.iterdir()) == before
    finally:
        process.communicate("", timeout=60)
    RunFolder.open(options(**{flag: True})).close()
    assert [path.name for path in Path("runs/a").iterdir()] == ["search"], "no lock is left"


def test_a_first_start_beside_another_is_refused() -> None:
    process = holder("runs/a/search")
    with pytest.raises(UserError, match="is being written by another process"):
        RunFolder.open(options())
    process.communicate("", timeout=60)
    assert not Path("runs").exists(), "nothing was made for nothing"


@pytest.mark.parametrize("forked", [[], ["forked"]])
def test_the_lock_of_a_killed_process_is_free(forked: list[str]) -> None:
    """Also where its data workers live a little longer."""
    process = holder("runs/a/search", *forked)
    process.kill()
    process.wait()
    RunFolder.open(options()).close()
    assert [path.name for path in Path("runs/a").iterdir()] == ["search"]


def test_one_process_holds_a_folder_as_often_as_it_needs() -> None:
    with only_process(Path("runs/a/search")):
        with RunFolder.open(options()) as folder, RunFolder.create(folder.run_inside("learning"), options()):
            pass
        process = subprocess.run(
            [sys.executable, "-c", HOLD, "runs/a/search"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert "being written by another process" in process.stderr
    with only_process(Path("runs/a/../a/search").absolute()):
        pass


def test_where_only_the_folder_can_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("volume").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with RunFolder.open(options(output="volume")) as folder:
        assert (folder.path / ".volume.lock").exists()
    assert not (folder.path / ".volume.lock").exists()
    RunFolder.open(options(output="volume", resume=True)).close()
