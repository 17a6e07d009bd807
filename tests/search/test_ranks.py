"""A search, a ranking and a verdict on one process and on several: the same archive, the same rows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.cli import main as search
from search.comparison.verdict import main as verdict
from search.ranking.rank import main as rank
from tests.house.killed import JUDGED, QUICK, TITLE, TRAINING, plain, prepared
from tests.training import pair
from training.cli import main_train_supernet

SEARCH = [*QUICK, "--search-strategy", "evolution", "--population", "8", "--parent-num", "4", "--generation-num", "2"]
MF_NAS = [*QUICK, "--search-strategy", "mf_nas", "--first-evaluations", "6", "--first-best", "4"]
TRIALS = [
    *TRAINING[:-4], "--lr", "0.1", "--evaluator", "training", "--fidelities", "1,2", "--search-strategy", "random",
    "--random-iteration", "4", "--target-hc", "0.06", "--confirm-images", "20",
]  # fmt: skip
RANK = [*JUDGED, "--truth", "truth.csv", "--resamples", "20"]
VERDICT = [*TITLE, "--epochs", "1", "--lr", "0.1", "--seeds", "2", "--random-networks", "2"]


def work(folder: Path) -> None:
    """A search, and one of real trainings, in a folder with a trained supernet."""
    os.chdir(folder)
    search(SEARCH)
    search([*TRIALS, "--output", "trials"])


def further_work(folder: Path) -> None:
    """All that ranks share beside."""
    work(folder)
    search([*MF_NAS, "--output", "first"])
    rank([*RANK, "--output", "rank"])
    verdict([*VERDICT, "--output", "verdict"])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What one process leaves."""
    folder, before = tmp_path_factory.mktemp("ranks"), Path.cwd()
    place = prepared(folder, "one", "supernet")
    os.chdir(place)
    main_train_supernet(TRAINING)
    for ranks in ("two", "three"):
        shutil.copytree(place, folder / ranks)
    work(place)
    yield folder
    os.chdir(before)


def rows(path: Path) -> Any:
    """The content of JSON lines without what is measured in time."""
    return [plain(json.loads(line)) for line in path.read_text().splitlines()]


def rows_of_object(path: Path) -> Any:
    return plain(json.loads(path.read_text()))


def test_two_ranks_leave_what_one_process_does(base: Path) -> None:
    pair.run("tests.search.test_ranks:work", base / "two")
    for name in ("runs/t/search/archive", "runs/t/search/confirmed", "trials/archive", "trials/confirmed"):
        assert rows(base / "one" / f"{name}.jsonl") == rows(base / "two" / f"{name}.jsonl"), name
    for name in ("runs/t/search/best.json", "trials/best.json"):
        assert rows_of_object(base / "one" / name) == rows_of_object(base / "two" / name), name


@pytest.mark.slow
def test_three_ranks_do_so_too_and_rank_and_compare(base: Path) -> None:
    pair.run("tests.search.test_ranks:further_work", base / "three", 3)
    again = base / "again"
    shutil.copytree(base / "three/runs/t/supernet", again / "runs/t/supernet")
    shutil.copy(base / "three/truth.csv", again)
    further_work(again)
    for name in ("runs/t/search/archive", "first/first", "first/archive", "trials/archive", "rank/archive"):
        assert rows(again / f"{name}.jsonl") == rows(base / "three" / f"{name}.jsonl"), name
    assert rows_of_object(again / "rank/rank.json") == rows_of_object(base / "three/rank/rank.json")
    trainings = [sorted(rows(place / "verdict/trainings.jsonl"), key=str) for place in (again, base / "three")]
    assert trainings[0] == trainings[1]
    assert (base / "three/verdict/verdict.json").is_file()
