"""Ranks meet, tell each other JSON, and end together, with one line."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from config_file import ranks
from config_file.errors import EXIT_USER_ERROR, UserError
from config_file.files import write_sealed
from config_file.run_mark import MARK, continued, new_mark
from config_file.stages import command, stage_path
from tests.training import pair, toy

HERE = "tests.config_file.test_ranks:"


def lines(said: list[tuple[int | None, str]]) -> list[str]:
    return [line for _, text in said for line in text.splitlines() if line.startswith("error")]


def talk(folder: Path) -> None:
    assert ranks.gather({"rank": ranks.number()}) == [{"rank": 0}, {"rank": 1}]
    assert ranks.share([ranks.number(), None, "ä"], source=1) == [1, None, "ä"]
    assert ranks.on_all(lambda: f"of {ranks.number()}") == "of 0"
    ranks.compare({"what": [1, "x"]})
    print("said once")
    options = toy.supernet_options(folder)
    assert command("supernet", options).startswith("torchrun --nproc-per-node 2 train_supernet.py --title toy")
    assert command("search", options).startswith("python search.py")
    assert not continued(options).resume
    # A node counts its own failures alone: here that of the first rank none.
    os.environ |= {"TORCHELASTIC_RUN_ID": "a", "TORCHELASTIC_RESTART_COUNT": str(ranks.number())}
    (path := stage_path(options)).mkdir(parents=True, exist_ok=True)
    for name, goes_on in (("a", True), ("b", False)):
        ranks.on_all(lambda name=name: write_sealed(path / MARK, new_mark("supernet") | {"job": name}))
        assert continued(options).resume is goes_on


def differ(folder: Path) -> None:
    ranks.compare({"code": "a", "option --lr": 0.1 + ranks.number()})


def mistake(folder: Path) -> None:
    if ranks.number() == 1:
        raise UserError("a mistake on one rank")
    ranks.gather(None)


def mistake_of_the_first(folder: Path) -> None:
    if ranks.number() == 0:
        raise UserError("a mistake on one rank")
    ranks.gather(None)


def killed(folder: Path) -> None:
    ranks.gather(None)
    if ranks.number() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.gather(None)


def stopped(folder: Path) -> None:
    ranks.SILENCE, ranks.BEAT = 2.0, 0.2
    ranks.gather(None)
    if ranks.number() == int((folder / "which").read_text()):
        (folder / "stopped").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)
    ranks.gather(None)


def test_ranks_talk_and_one_of_them_prints(tmp_path: Path) -> None:
    said = pair.ended(pair.start([HERE + "talk"] * 2, tmp_path), tmp_path)
    assert [status for status, _ in said] == [0, 0], said
    assert [text for _, text in said] == ["said once\n", ""]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("differ", r"error: rank 1 \(.*\) has other option --lr than rank 0 \(.*\): 1.1, not 0.1; start all .* alike"),
        ("mistake", "error: a mistake on one rank"),
        ("mistake_of_the_first", "error: a mistake on one rank"),  # who keeps what the others hear of it by
    ],
)
def test_a_mistake_is_said_once_and_ends_all(what: str, line: str, tmp_path: Path) -> None:
    said = pair.ended(pair.start([HERE + what] * 2, tmp_path), tmp_path)
    assert [status for status, _ in said] == [EXIT_USER_ERROR] * 2, said
    (found,) = lines(said)
    assert re.fullmatch(line, found), found


def test_the_death_of_a_rank_is_one_line(tmp_path: Path) -> None:
    begun = time.monotonic()
    said = pair.ended(pair.start([HERE + "killed"] * 2, tmp_path), tmp_path)
    assert [status for status, _ in said] == [EXIT_USER_ERROR, -signal.SIGKILL], said
    (found,) = lines(said)
    assert found.startswith("error: rank 1 (process "), found
    assert "--resume" in found
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("which", [0, 1])  # the first one keeps what all tell each other by
def test_a_rank_that_is_stopped_ends_the_others(which: int, tmp_path: Path) -> None:
    (tmp_path / "which").write_text(str(which))
    processes = pair.start([HERE + "stopped"] * 2, tmp_path)
    processes[1 - which].join(60)
    assert processes[1 - which].exitcode == EXIT_USER_ERROR
    os.kill(int((tmp_path / "stopped").read_text()), signal.SIGKILL)
    (found,) = lines(pair.ended(processes, tmp_path))
    assert found.startswith(f"error: rank {which}"), found


def test_no_rendezvous_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"^no rendezvous: RANK, WORLD_SIZE set without MASTER_ADDR and MASTER_P"):
        ranks.joined().__enter__()
    with pytest.raises(UserError, match=r"^export.py works in one process: start it with python, not with torchrun"):
        ranks.check_joined("export.py")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit):
        ranks.check_joined("export.py")
    monkeypatch.setattr(ranks, "MEETING", 0.5)
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", str(pair.free_port()))
    with pytest.raises(UserError, match=r"^no rendezvous at localhost:\d+: .*; start all ranks with torchrun"):
        ranks.joined().__enter__()


def test_alone_nothing_is_joined() -> None:
    with ranks.joined():
        assert (ranks.number(), ranks.count(), ranks.launcher()) == (0, 1, ["python"])
        assert ranks.share("x") == "x"
        ranks.compare({"what": 1})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"LOCAL_WORLD_SIZE": "4"}, "torchrun --nproc-per-node 4"),
        ({"LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"}, "torchrun --nnodes 2 --nproc-per-node 2"),
        ({}, "torchrun --nproc-per-node 4"),
    ],
)
def test_the_launcher_is_said_with_the_flags_it_was_given(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `torchrun --help` calls them; the variables are those of its documentation."""
    monkeypatch.setattr(ranks, "count", lambda: 4)
    for name in ("LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert " ".join(ranks.launcher()) == words
