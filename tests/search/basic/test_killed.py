"""A search from Python killed by SIGKILL in the middle and run again: the same results, no finished trial twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.search.basic.networks import agent, trainings
from tests.served import started


def search() -> None:
    agent(max_trials=6, seed=4).search("killed")


def test_killed_and_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    archive = Path("killed/NASResults/archive.jsonl")
    process = started(search, said=Path("said.txt"))
    while process.is_alive() and not (archive.exists() and archive.read_bytes().count(b"\n") > 2):
        time.sleep(0.001)
    process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, Path("said.txt").read_text()
    kept, made = archive.read_bytes().count(b"\n") - 1, trainings()
    assert 2 <= kept < 6
    again = agent(max_trials=6, seed=4)
    again.search("killed")
    assert trainings() - made == 6 - kept
    whole = agent(max_trials=6, seed=4)
    whole.search("whole")
    assert again.search_results == whole.search_results
    texts = [
        {path.name: path.read_bytes() for path in Path(place, "NASResults").glob("*.txt")}
        for place in ("killed", "whole")
    ]
    assert texts[0] == texts[1]


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("results/NASResults")
    folder.mkdir(parents=True)
    (folder / ".Trial_1_results.partial-x.txt").write_text("===")
    agent(max_trials=1).search("results")
    assert sorted(path.name for path in folder.iterdir()) == [
        "Final_results.txt", "Trial_1_results.txt", "archive.jsonl",
    ]  # fmt: skip
