"""One process per folder: held while written, free when its process has died, one line for everybody else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from config_file.lock import only_process
from config_file.readers.json_text import read_sealed_jsonl
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


ARM = """
import sys
from typing import ClassVar
from config_file.errors import UserError
from config_file.files import append_sealed
from config_file.fields import option
from config_file.options import options
from config_file.run_folder import Work, run_stage
from config_file.run_options import RunOptions
@options()
class Arms(RunOptions):
    stage: ClassVar[str] = "verdict"
    only: str = option("all", "arm", group="A", saved=False)
    @property
    def parts(self):
        arms = ("found", "random", "mobilenetv2")
        mine = arms if self.only == "all" else (self.only,)
        return mine, tuple(arm for arm in arms if arm not in mine)
def work(folder):
    print("held", flush=True)
    sys.stdin.readline()
    for number in range(40):
        folder.log("a line")
        folder.run_inside(f"trainings/{sys.argv[1]}-{number}")
        with folder.alone():
            append_sealed(folder.path / "rows.jsonl", {"title": number})
arms = Arms(output="verdict", only=sys.argv[1], resume="resume" in sys.argv, overwrite="over" in sys.argv)
try:
    run_stage(arms, lambda: Work(work))
except UserError as error:
    print(error)
"""


def test_parts_of_the_work_are_done_side_by_side_each_by_one_process() -> None:
    def arm(*words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-c", ARM, *words], stdin=pipe, stdout=pipe, text=True)
        running.append(process)
        return process

    def said(*words: str) -> str:
        process = arm(*words)
        assert process.stdout is not None
        return process.stdout.readline()

    running: list[subprocess.Popen[str]] = []
    try:
        assert said("found") == "held\n"
        assert said("random", "resume") == "held\n"
        busy = " is being written by another process: wait for its end, or choose another --title or --output\n"
        assert said("found", "resume") == f"verdict (found){busy}"
        assert said("all", "resume") == f"verdict (found){busy}"
        assert said("all", "over") == f"verdict (found){busy}"
        assert said("mobilenetv2", "over") == f"verdict (found){busy}"
        assert {path.name for path in Path().glob(".*")} == {".verdict.found.lock", ".verdict.random.lock"}
        for process in running[:2]:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()  # both write now, into the same files
        assert [process.wait(60) for process in running[:2]] == [0, 0]
        mark = json.loads(Path("verdict/env.json").read_text())
        assert sorted(mark["runs"]) == sorted(f"trainings/{a}-{n}" for a in ("found", "random") for n in range(40))
        assert len(read_sealed_jsonl(Path("verdict/rows.jsonl"))) == 80
        assert said("mobilenetv2", "over") == "held\n"
        assert said("found", "resume") == "held\n", "once the old run is removed the others may begin"
    finally:
        for process in running:
            process.kill()
            process.communicate()
    assert (said("all", "resume"), running.pop().communicate("\n", timeout=60)[0] != "") == ("held\n", True)
    assert not list(Path().glob(".*")), "no lock is left, those of the killed either"
