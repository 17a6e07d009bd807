"""Scores of a search by a structure: what is told, what is chosen, and what is said of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.archive import Archive
from search.cli import main
from search.engine import run
from search.ledger import Ledger, Stop
from search.objectives import ACCURACY
from search.options import SearchOptions
from search.problem import Problem
from search.result import Result
from search.strategies import make_strategy
from search.structure.calibration import read_trained
from search.structured import STRUCTURED, Structured
from search.testing.toy import toy_space, toy_tables
from supernet.decisions import Decision, DecisionSpace
from tests.search.test_cli import QUICK, SPACE, here, trained  # noqa: F401 - fixtures
from tests.search.test_engine import FINGERPRINTS, Killed, MortalEvaluator
from tests.search.toy import ToyEvaluator

CHAIN = DecisionSpace("chain", tuple(Decision(f"d{d}", ("a", "b", "c")) for d in range(6)))


def noisy(deviation: float, seed: int = 0) -> tuple[list[Result], np.ndarray]:
    """(results of 150 chains with the interval of their noise, what they are without it)."""
    rng = np.random.default_rng(seed)
    codes = np.array(list(CHAIN.enumerate()))[rng.choice(729, 150, replace=False)]
    truth = 0.6 + 0.01 * rng.normal(size=(6, 3))[np.arange(6), codes].sum(1)
    scores = truth + deviation * rng.normal(size=len(truth))
    return [
        Result(tuple(a), {"accuracy": s}, interval=(s - 1.96 * deviation, s + 1.96 * deviation))
        for a, s in zip(codes.tolist(), scores.tolist(), strict=True)
    ], truth


def test_what_is_chosen_is_not_the_luckiest() -> None:
    """Noise as great as the differences, eight searches: the structure loses a quarter of it."""
    lost = np.zeros(2)
    for seed in range(8):
        results, truth = noisy(0.02, seed)
        score = Structured(CHAIN, ACCURACY, 0.0)
        judged = score(results)
        assert "structure accepted" in score.verdict(results)
        for number, objective in enumerate((STRUCTURED, ACCURACY)):
            best = int(np.argmax([objective.score(result) for result in judged]))
            lost[number] += truth.max() - truth[best]
    assert lost[0] < 0.35 * lost[1]


def test_exact_scores_count_as_they_are() -> None:
    results, truth = noisy(0.0)
    score = Structured(CHAIN, ACCURACY, 0.0)
    judged = score([*results, Result((0,) * 6, {"accuracy": math.nan}, state="failed")])
    found = np.array([STRUCTURED.score(result) for result in judged[:-1]])
    assert STRUCTURED.name not in judged[-1].metrics
    assert np.array_equal(np.argsort(found), np.argsort(truth))
    assert "raw scores count" in score.verdict(results)
    assert "too few" in score.verdict(results[:9])


@pytest.mark.parametrize("name", ["structured", "evolution"])
def test_a_killed_search_ends_the_same(name: str, tmp_path: Path) -> None:
    """Of the strategy that makes the scores itself, and of one that is told them."""
    space = toy_space(layers=5)
    tables, score = toy_tables(space), Structured(space, ACCURACY, 0.1)
    problem, told = Problem(Limits(space), tables=tables), None if name == "structured" else score
    if told is not None:
        problem = replace(problem, objectives=told.objectives(problem))
    options = SearchOptions(title="x", search_strategy=name, population=10, parent_num=4, generation_num=6, startup=8)
    assert options.score == ("structured" if name == "structured" else "raw")

    def searched(evaluator: ToyEvaluator, path: Path) -> list[Result]:
        strategy, ledger = make_strategy(name, problem, options), Ledger(Stop(evaluations=40))
        return run(strategy, evaluator, Archive(path, FINGERPRINTS), tables, ledger=ledger, correct=told)

    expected = searched(ToyEvaluator(), tmp_path / "whole.jsonl")
    for lives in (3, 11, 17):
        with pytest.raises(Killed):
            searched(MortalEvaluator(lives), tmp_path / "killed.jsonl")
    assert searched(ToyEvaluator(), tmp_path / "killed.jsonl") == expected


def test_a_search_by_a_structure(here: Path) -> None:  # noqa: F811
    """From the command line: the front, what chose it, trained networks, and --score as measured."""
    names = [" ".join(SPACE["candidates"][(i >> layer) % 2] for layer in range(4)) for i in range(4)]
    rows = [f"{name},{80 + i}" for i, name in enumerate(names)]
    (here / "trained.csv").write_text("\n".join(["architecture,accuracy", *rows]) + "\n")
    size = ["--search-strategy", "structured", "--startup", "20", "--evaluations", "26"]
    assert main([*QUICK, *size, "--calibrate", "trained.csv", "--output", "front"]) == 0
    best = json.loads((here / "front/best.json").read_text())
    assert best["search"]["score"] == "structured"
    log = (here / "front/log.txt").read_text()
    assert "chosen by  structure " in log
    assert "accuracy by a structure of the decisions" in log
    assert "structured" in (here / "front/results.csv").read_text().splitlines()[0]
    assert len((here / "front/front.csv").read_text().splitlines()) > 1
    assert main([*QUICK, *size, "--score", "raw", "--objective", "accuracy", "--output", "raw"]) == 0
    assert "chosen by" not in (here / "raw/log.txt").read_text()
    with pytest.raises(UserError, match=r"--calibrate is for --\S+ structured"):
        main([*QUICK, "--search-strategy", "random", "--calibrate", "trained.csv", "--output", "x"])
    with pytest.raises(UserError, match="score 'smooth'"):
        main([*QUICK, *size, "--score", "smooth", "--output", "x"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("architecture,accuracy\na a a a a a,90\n", "at least 2 networks"),
        ("architecture,score\na a a a a a,90\nb a a a a a,91\n", "at least 2 networks with accuracy, and has 0"),
        ("architecture,accuracy\na a a a a,90\n", "line 2"),
    ],
)
def test_trained_networks_that_are_none_are_one_line(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "trained.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=expected):
        read_trained(path, CHAIN)
    with pytest.raises(UserError, match="no such file"):
        read_trained(tmp_path / "none.csv", CHAIN)
