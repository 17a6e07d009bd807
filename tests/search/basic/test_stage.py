"""Functions of one's own as an evaluator of `search.py`, with strategies, budgets and files as for any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.basic import Trials
from search.cli import main
from tests.search.basic.networks import SPACE, build, evaluate, train, trainings

trials = Trials(SPACE, build, evaluate, train_func=train, metrics={"mse": False})

WORDS = ["--title", "a", "--evaluator", "tests.search.basic.test_stage:trials", "--no-tensorboard"]


def test_the_stage_searches_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main([*WORDS, "--search-strategy", "grid"])
    assert trainings() == 6
    text = Path("runs/a/search/results.csv").read_text()
    assert len(text.splitlines()) == 7
    main([*WORDS, "--search-strategy", "grid", "--resume"])
    assert trainings() == 6
    main([*WORDS, "--search-strategy", "tpe", "--startup", "2", "--budget-evaluations", "3", "--overwrite"])
    assert trainings() == 9
