"""A stage's folder: never silently overwritten, resumed where it stopped, one clear line where it cannot be used."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_file import run_folder
from config_file.errors import UserError
from config_file.loader import load
from config_file.progress import progress
from config_file.run_folder import RunFolder
from config_file.run_mark import has_begun
from config_file.stages import STAGES, command, find_stage, stage_path
from deployment.options import ExportOptions
from search.options import SearchOptions
from training.options import RetrainOptions, TrainSupernetOptions


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def options(**values: Any) -> SearchOptions:
    return SearchOptions(**{"title": "a", "tensorboard": False, **values})


def test_what_a_new_folder_holds(capsys: pytest.CaptureFixture[str]) -> None:
    with RunFolder.open(options()) as folder:
        folder.log("one")
        folder.log("two")
    assert folder.path == Path("runs/a/search")
    assert folder.checkpoints.is_dir()
    assert not folder.resumed
    assert load(SearchOptions, folder.path / "config.yaml") == folder.config
    assert (folder.path / "log.txt").read_text() == "one\ntwo\n"
    assert capsys.readouterr().out == "one\ntwo\n"
    environment = json.loads((folder.path / "env.json").read_text())
    assert environment["stage"] == "search"
    assert environment["python"].startswith("3.")
    assert environment["packages"]["torch"]
    assert environment["cores"] >= 1
    assert re.search(r"\"/[a-z]", (folder.path / "env.json").read_text()) is None, "a path of this machine"


def test_an_earlier_run_is_never_overwritten_silently() -> None:
    RunFolder.open(options())
    with pytest.raises(UserError, match=r"^runs/a/search has been run before: --resume .*--overwrite .*--title"):
        RunFolder.open(options())


def test_overwrite_removes_only_what_we_wrote() -> None:
    folder = RunFolder.open(options())
    folder.log("old")
    folder.metric(1, loss=1.0)
    for name in ("best.json", "results.csv"):
        folder.file(name).write_text("x")
    for name in ("checkpoints/last.pt", "notes.txt", "checkpoints/mine.txt"):
        (folder.path / name).write_text("x")
    other = Path("runs/a/supernet")
    other.mkdir()
    (other / "best.json").write_text("x")
    again = RunFolder.open(options(overwrite=True, population=30))
    left = {str(path.relative_to(again.path)) for path in again.path.rglob("*") if path.is_file()}
    assert left == {"notes.txt", "checkpoints/mine.txt", "env.json", "config.yaml"}
    assert load(SearchOptions, again.path / "config.yaml").population == 30
    assert (other / "best.json").exists()


def test_overwrite_removes_the_runs_that_a_stage_made_inside() -> None:
    folder = RunFolder.open(options())
    path = folder.path
    inner = ("learning", "trainings/one", "trainings/two", "mine")
    for name in inner:
        place = path / name if name == "mine" else folder.run_inside(name)
        RunFolder.create(place, options()).metric(1, loss=1.0)
    (path / "trainings/two/notes.txt").write_text("x")
    RunFolder.open(options(overwrite=True))
    left = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and file.parts[-2] != "mine"}
    assert left == {"trainings/two/notes.txt", "env.json", "config.yaml"}
    assert not (path / "learning").exists()
    assert (path / "mine/env.json").exists()  # a run that the user has put there


@pytest.mark.parametrize("kind", ["files", "runs", "checkpoints"])
def test_overwrite_removes_nothing_beyond_a_link_that_leads_out_of_the_folder(kind: str, tmp_path: Path) -> None:
    """A folder from somebody else says itself what to remove: its mark and its links may be of any kind."""
    run = RunFolder.open(options())
    run.close()
    target = RunFolder.open(options(title="mine"))
    target.close()
    theirs = target.file("of_mine.pt")
    theirs.write_text("mine")
    link = run.path / "checkpoints" if kind == "checkpoints" else run.path / "link"
    if kind == "checkpoints":
        link.rmdir()
    link.symlink_to(target.path.resolve(), target_is_directory=True)
    if kind == "files":
        run.file("link/of_mine.pt")
    elif kind == "runs":
        run.run_inside("link")
    before = (run.path / "config.yaml").read_bytes()
    with pytest.raises(UserError, match=r"leads out of the run's folder, where --overwrite removes nothing: unlink it"):
        RunFolder.open(options(overwrite=True))
    assert theirs.read_text() == "mine"
    assert (run.path / "config.yaml").read_bytes() == before
    link.unlink()
    RunFolder.open(options(overwrite=True)).close()
    assert theirs.read_text() == "mine"


@pytest.mark.parametrize(("kind", "name"), [("runs", "."), ("files", ""), ("runs", "a/.."), ("files", "/etc/motd")])
def test_a_mark_that_names_no_file_of_the_folder_is_refused(kind: str, name: str) -> None:
    with RunFolder.open(options()) as run:
        run._enter(kind, name)
    with pytest.raises(UserError, match=r"env.json is not of a run that this version reads"):
        RunFolder.open(options(overwrite=True))


@pytest.mark.parametrize("name", ["env.json", "config.yaml"])
def test_a_pipe_in_place_of_a_file_of_the_run_is_not_waited_for(name: str) -> None:
    with RunFolder.open(options()) as run:
        pass
    (run.path / name).unlink()
    os.mkfifo(run.path / name)
    assert has_begun(run.path)  # by the other one


def test_overwrite_where_nothing_was_run_starts() -> None:
    assert RunFolder.open(options(overwrite=True)).path.is_dir()


@pytest.mark.parametrize("flag", ["overwrite", "resume", None])
def test_a_folder_that_is_not_ours_is_left_alone(flag: str | None) -> None:
    path = Path("runs/a/search")
    path.mkdir(parents=True)
    (path / "best.json").write_text("mine")
    with pytest.raises(UserError, match="holds files that are not of a run"):
        RunFolder.open(options(**({flag: True} if flag else {})))
    assert [file.name for file in path.iterdir()] == ["best.json"]


def test_another_stages_folder_is_left_alone() -> None:
    RunFolder.open(options(output="here"))
    with pytest.raises(UserError, match="here holds the search stage, not supernet"):
        RunFolder.open(TrainSupernetOptions(output="here", overwrite=True))


def test_a_folder_without_files_serves() -> None:
    Path("runs/a/search/checkpoints").mkdir(parents=True)
    Path("runs/a/search/.env.partial-abc.json").write_text("{")
    folder = RunFolder.open(options())
    assert sorted(path.name for path in folder.path.iterdir()) == ["checkpoints", "config.yaml", "env.json"]


def test_resume_adds(capsys: pytest.CaptureFixture[str]) -> None:
    with RunFolder.open(options()) as first:
        first.log("one")
        for step in range(5):
            first.metric(step, loss=step / 2)
    (first.checkpoints / "last.pt").write_text("x")
    with (first.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')

    with RunFolder.open(options(resume=True, population=30)) as second:
        assert second.resumed
        assert second.changed == {"population": (60, 30)}
        assert [row["step"] for row in second.metrics()] == [0, 1, 2, 3, 4]
        second.truncate_metrics(2)
        second.metric(3, loss=9.0)
    assert [(row["step"], row["loss"]) for row in second.metrics()] == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 9.0)]
    assert "one\nresumed with --population 30 instead of 60\n" in (second.path / "log.txt").read_text()
    assert (second.checkpoints / "last.pt").exists()
    assert load(SearchOptions, second.path / "config.yaml").population == 30
    assert len(json.loads((second.path / "env.json").read_text())["resumed"]) == 1


def test_nothing_to_resume() -> None:
    with pytest.raises(
        UserError, match=r"nothing to resume at runs/a/search; start with: python search\.py --title a$"
    ):
        RunFolder.open(options(resume=True))


def test_metrics_are_strict_json() -> None:
    folder = RunFolder.open(options())
    folder.metric(3, loss=np.float32(0.5), images=np.int64(7), accuracy=float("nan"))
    assert folder.metrics() == [{"step": 3, "loss": 0.5, "images": 7, "accuracy": None}]
    assert json.loads((folder.path / "metrics.jsonl").read_text()) == folder.metrics()[0]
    with pytest.raises(TypeError):
        folder.metric(4, loss="high")


def test_tensorboard_holds_the_same_numbers() -> None:
    with RunFolder.open(options(tensorboard=True)) as folder:
        folder.metric(1, **{"train/loss": 0.5, "bad": float("inf")})
        folder.metric(2, **{"train/loss": 0.25})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["train/loss"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 0.5), (2, 0.25)]
    RunFolder.open(options(overwrite=True))
    assert not (folder.path / "tensorboard").exists()


def test_a_file_where_the_folder_should_be() -> None:
    Path("runs").mkdir()
    Path("runs/a").write_text("")
    with pytest.raises(
        UserError, match=r"^cannot write the run's folder runs/a/search: .*a file stands where a folder"
    ):
        RunFolder.open(options())
    Path("there").write_text("")
    with pytest.raises(UserError, match="there is a file; the run needs a folder there"):
        RunFolder.open(options(output="there"))


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "no permission"), (errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")]
)
def test_an_unwritable_folder_is_one_line(number: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Simulated: tests may run as root, whom no permission stops.
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, "x")

    monkeypatch.setattr(run_folder, "write_sealed", refuse)
    with pytest.raises(UserError, match=f"^cannot write the run's folder runs/a/search: .*{words}"):
        RunFolder.open(options())


def _finish(stage: str, folder: str | None = None) -> Path:
    path = Path(folder or f"runs/a/{stage}")
    path.mkdir(parents=True, exist_ok=True)
    for name in STAGES[stage].files:
        (path / name).write_text("x")
    return path


def test_find_stage() -> None:
    path = _finish("supernet")
    assert find_stage(options(), "supernet") == path
    for explicit in ("runs/a/supernet", "runs/a", "runs/a/supernet/supernet.json"):
        assert find_stage(options(title="b", supernet=explicit), "supernet") == path
    assert find_stage(RetrainOptions(title="a"), "supernet") == path
    _finish("retrain", "elsewhere")
    assert find_stage(ExportOptions(title="a", retrain="elsewhere"), "retrain") == Path("elsewhere")


def test_a_missing_stage_says_which_command_makes_it() -> None:
    make = "python train_supernet.py --title a"
    with pytest.raises(UserError, match=f"^no supernet stage at runs/a/supernet; make it with: {make}$"):
        find_stage(options(), "supernet")
    (Path("runs/a/supernet")).mkdir(parents=True)
    Path("runs/a/supernet/config.yaml").write_text("")
    with pytest.raises(UserError, match=f"has not finished; continue it with: {make} --resume$"):
        find_stage(options(), "supernet")
    with pytest.raises(UserError, match="--title NAME or --supernet FOLDER is needed"):
        find_stage(options(title=None, output="x"), "supernet")
    Path("file").write_text("")
    with pytest.raises(UserError, match="no retrain stage at"):
        find_stage(ExportOptions(title="a", retrain="file"), "retrain")


def test_a_file_that_is_not_of_the_stage_is_named(tmp_path: Path) -> None:
    """NNI's and SPOS's checkpoints have such names; no command would make one there."""
    (tmp_path / "checkpoint-150000.pth.tar").write_bytes(b"")
    options = SearchOptions(title="a", supernet=str(tmp_path / "checkpoint-150000.pth.tar"))
    with pytest.raises(
        UserError, match=r"no supernet stage at --supernet .*checkpoint-150000\.pth\.tar, a file"
    ) as error:
        find_stage(options, "supernet")
    assert "--output" not in str(error.value)


def test_commands_name_the_run() -> None:
    assert command("retrain", options()) == "python retrain.py --title a"
    assert command("retrain", options(title="my run", root_path="/data/runs")) == (
        "python retrain.py --title 'my run' --root-path /data/runs"
    )
    elsewhere = options(output="out/search")
    assert command("search", elsewhere) == "python search.py --title a --output out/search"
    assert command("retrain", elsewhere) == "python retrain.py --title a --search out/search"
    assert command("supernet", elsewhere) == "python train_supernet.py --title a"
    assert command("search", options(title=None, output="out")) == "python search.py --output out"


def test_commands_name_folders_of_their_own() -> None:
    chosen = options(output="out", supernet="net")
    assert command("search", chosen) == "python search.py --title a --output out"
    assert command("retrain", chosen) == "python retrain.py --title a --search out"
    assert command("export", chosen) == "python export.py --title a"
    assert command("supernet", chosen) == "python train_supernet.py --title a --output net"
    nameless = options(title=None, output="out")
    assert command("search", nameless) == "python search.py --output out"
    assert command("retrain", nameless) == "python retrain.py --title NAME --search out"


def test_output_is_the_stages_own_folder_only() -> None:
    chosen = options(output="out", supernet="net")
    assert stage_path(chosen) == Path("out")
    assert stage_path(chosen, "supernet") == Path("net")
    assert stage_path(dataclasses.replace(chosen, supernet=None), "supernet") == Path("runs/a/supernet")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal() -> None:
    file = _Terminal()
    assert list(progress(range(3), "working", "image", file=file)) == [0, 1, 2]
    assert "working" in file.getvalue()
    assert "3/3" in file.getvalue()
    with progress(10, "counting", file=_Terminal(), initial=4) as bar:
        bar.update(6)
        assert bar.n == bar.total == 10


def test_progress_in_a_log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    assert list(progress(iter("abc"), "working", "image", total=3, file=file)) == list("abc")
    assert file.getvalue() == "", "what takes no time says nothing"
    monkeypatch.setattr("config_file.progress._SECONDS_BETWEEN_LINES", 0)
    list(progress(range(3), "working", "image", file=file))
    assert re.fullmatch(r"(working: .*\n)+", file.getvalue())
    assert "\r" not in file.getvalue()
    assert re.search(r"3/3 \[00:00<00:00", file.getvalue())
