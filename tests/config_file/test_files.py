"""Whole files or none, and JSON lines that survive a crash."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config_file.errors import UserError
from config_file.files import (
    append_jsonl,
    atomic_path,
    atomic_write_bytes,
    atomic_write_text,
    remove_leftovers,
    staging_folder,
)
from config_file.readers.json_text import read_jsonl

NUMBERS = st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=4)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_atomic_write_replaces(tmp_path: Path) -> None:
    file = tmp_path / "best.json"
    atomic_write_text(file, "one")
    atomic_write_text(file, "zwölf ∑")
    assert file.read_text(encoding="utf-8") == "zwölf ∑"
    atomic_write_bytes(file, b"\0\1")
    assert file.read_bytes() == b"\0\1"
    assert names(tmp_path) == ["best.json"]


def test_temporary_file_keeps_the_suffix_and_the_folder(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "plot.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"x")
    assert names(tmp_path) == ["plot.png"]


def test_a_staging_folder_is_beside_its_target_and_gone_afterwards(tmp_path: Path) -> None:
    target = tmp_path / "new" / "export"
    killed = tmp_path / "new" / ".export.partial-abc"
    killed.mkdir(parents=True)
    (killed / "model.onnx").write_text("half")
    with staging_folder(target) as staged:
        assert staged.parent == target.parent
        assert not killed.exists()
        (staged / "model.onnx").write_text("whole")
        target.mkdir()
        (staged / "model.onnx").replace(target / "model.onnx")
    assert names(target.parent) == ["export"]
    assert names(target) == ["model.onnx"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failure_in_a_staging_folder_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def work() -> None:
        with staging_folder(tmp_path / "deep" / "down" / "export") as staged:
            (staged / "model.onnx").write_text("half")
            raise error

    with pytest.raises(error):
        work()
    assert names(tmp_path) == []


def test_an_error_in_a_staging_folder_names_the_target(tmp_path: Path) -> None:
    def work(target: Path) -> None:
        with staging_folder(target) as staged:
            raise OSError(errno.ENOSPC, "full", str(staged / "model.onnx"))

    with pytest.raises(OSError, match="full") as caught:
        work(tmp_path / "export")
    assert caught.value.filename == str(tmp_path / "export" / "model.onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        work(tmp_path / "file" / "export")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    file = tmp_path / "last.pt"
    file.write_text("old")

    def write() -> None:
        with atomic_path(file) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert file.read_text() == "old"
    assert names(tmp_path) == ["last.pt"]


def test_a_full_disk_at_fsync_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "last.pt"
    file.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        atomic_write_text(file, "new")
    assert caught.value.filename == str(file)
    assert file.read_text() == "old"
    assert names(tmp_path) == ["last.pt"]


def test_mode_is_that_of_an_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    atomic_write_text(tmp_path / "ours", "")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    (tmp_path / "ours").chmod(0o640)
    atomic_write_text(tmp_path / "ours", "again")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == 0o640


def test_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        atomic_write_text(tmp_path / "nowhere" / "a", "")
    assert caught.value.filename == str(tmp_path / "nowhere" / "a")


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom config_file.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary: os._exit(9)\n"
    )
    (tmp_path / "checkpoints").mkdir()
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "checkpoints" / "last.pt")], check=False)
    assert len(names(tmp_path / "checkpoints")) == 1
    (tmp_path / ".hidden").write_text("the user's")
    remove_leftovers(tmp_path)
    assert names(tmp_path / "checkpoints") == []
    assert (tmp_path / ".hidden").exists()


@given(rows=st.lists(NUMBERS, max_size=5), cut=st.integers(0, 40), more=NUMBERS)
def test_rows_survive_a_torn_line(tmp_path_factory: Any, rows: list[dict[str, float]], cut: int, more: Any) -> None:
    file = tmp_path_factory.mktemp("rows") / "archive.jsonl"
    file.touch()
    for row in rows:
        append_jsonl(file, row)
    assert read_jsonl(file) == rows
    whole = file.read_bytes()
    kept = whole[: max(0, len(whole) - cut)]
    file.write_bytes(kept)
    left = read_jsonl(file)
    assert left == rows[: len(left)]
    assert len(left) >= kept.count(b"\n")
    append_jsonl(file, more)
    assert read_jsonl(file) == [*left, more]


def test_missing_file_has_no_rows(tmp_path: Path) -> None:
    assert read_jsonl(tmp_path / "none.jsonl") == []


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "archive.jsonl"
    file.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(UserError, match="line 2 is truncated or damaged"):
        read_jsonl(file)


def test_rows_are_strict_json(tmp_path: Path) -> None:
    file = tmp_path / "archive.jsonl"
    with pytest.raises(ValueError, match="JSON"):
        append_jsonl(file, {"loss": float("nan")})
    assert not file.exists()


def test_a_disk_that_fills_up_leaves_whole_rows(tmp_path: Path) -> None:
    # A limit on the size of files is the one full disk a test can have: a part of the line fits, the rest is refused.
    code = (
        "import resource, sys\n"
        "from config_file.files import append_jsonl\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "append_jsonl(sys.argv[1], {'a': 1})\n"
        "try:\n"
        "    append_jsonl(sys.argv[1], {'a': 'x' * 100})\n"
        "except OSError as error:\n"
        "    print(error.filename)\n"
    )
    file = tmp_path / "archive.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(file)
    assert file.read_text() == '{"a": 1}\n'


def test_a_long_torn_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "archive.jsonl"
    append_jsonl(file, {"a": 1})
    with file.open("a") as out:
        out.write(json.dumps({"b": "x" * 20_000})[:-1])
    append_jsonl(file, {"a": 2})
    assert file.read_text() == '{"a": 1}\n{"a": 2}\n'
