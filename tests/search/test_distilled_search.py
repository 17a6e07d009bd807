"""MFKD from the command line: a teacher trained by retrain.py, distilled cheap trials, full ones, resumed alike."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from config_file.errors import UserError
from config_file.readers.json_text import read_jsonl
from search.cli import main as search_main
from training.cli import main_retrain

IMAGES = [
    "--dataset", "digits", "--train-portion", "0.3", "--batch-size", "64", "--threads", "1", "--no-tensorboard",
    "--search-space", "simple_cnn", "--resolution", "8",
]  # fmt: skip
SEARCH = [
    *IMAGES, "--evaluator", "training", "--search-strategy", "mfkd2", "--mfkd2-samples", "3,2", "--mfkd2-start", "2",
    "--fidelities", "epochs=1,data=0.5;epochs=2,data=1", "--low-fidelity-trainer", "distillation",
    "--distill", "kd,nst",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mfkd")


def test_mfkd2_with_a_teacher(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    main_retrain([*IMAGES, "--title", "teacher", "--architecture", "[1,2,2,1,1,2,2,1,1,2,2,1,4]", "--epochs", "1"])
    search_main([*SEARCH, "--title", "a", "--teacher", "runs/teacher"])
    rows = read_jsonl("runs/a/search/archive.jsonl")[1:]
    assert [row["fidelity"] for row in rows] == [{"epochs": 1, "data": 0.5}] * 3 + [{"epochs": 2, "data": 1}] * 2
    low = {tuple(row["architecture"]): row["metrics"]["accuracy"] for row in rows[:3]}
    assert tuple(rows[3]["architecture"]) == max(low, key=lambda architecture: low[architecture])
    assert sum(row["spent"]["epochs"] for row in rows) == pytest.approx(3 * 0.5 + 2 * 2, abs=0.1)
    best = json.loads(Path("runs/a/search/best.json").read_text())
    assert best["architecture"] in [row["architecture"] for row in rows[3:]]
    with Path("runs/a/search/pareto_front.csv").open(newline="") as file:
        front = list(csv.DictReader(file))
    assert {row["indices"] for row in front} <= {" ".join(map(str, row["architecture"])) for row in rows[3:]}
    # Another one of the same seed is the same; one that goes on trains nothing again.
    search_main([*SEARCH, "--title", "b", "--teacher", "runs/teacher"])
    again = read_jsonl("runs/b/search/archive.jsonl")[1:]
    assert [(row["architecture"], row["metrics"]) for row in again] == [
        (row["architecture"], row["metrics"]) for row in rows
    ]
    Path("runs/b/search/best.json").unlink()
    search_main(["--title", "b", "--resume"])
    assert read_jsonl("runs/b/search/archive.jsonl")[1:] == again


def test_a_teacher_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="distillation needs --teacher: a folder of retrain"):
        search_main([*SEARCH, "--title", "c"])
    with pytest.raises(UserError, match="--teacher nowhere: there is no trained network"):
        search_main([*SEARCH, "--title", "c", "--teacher", "nowhere"])
