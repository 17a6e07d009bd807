"""Scores corrected for cost: their definition, the published supernets, and searches by them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from scipy.stats import kendalltau

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.archive import Archive
from search.cli import main
from search.corrected import CORRECTED, Correction, corrected
from search.engine import run
from search.ledger import Ledger, Stop
from search.objectives import ACCURACY
from search.options import SearchOptions
from search.pareto import non_dominated
from search.preparation import check_retold
from search.problem import Problem
from search.ranking.baselines import equal_networks
from search.result import Result
from search.strategies import STRATEGIES, Strategy, make_strategy
from search.testing.toy import toy_space, toy_tables
from supernet.controllers import FactorisedController
from supernet.decisions import Decision, DecisionSpace
from supernet.liveness import live_costs
from supernet.metrics import FLOPS
from supernet.spaces.nasbench201 import nasbench201
from tests.search.test_cli import EVOLUTION, QUICK, here, trained  # noqa: F401 - fixtures
from tests.search.test_engine import FINGERPRINTS, Killed, MortalEvaluator
from tests.search.toy import ToyEvaluator

SUPERNETS = {
    # tau of the score, and of the corrected one, CIFAR-10
    "uniform_c16_bs64_250ep": (0.587, 0.825),
    "uniform_c16_bs128_1000ep": (0.693, 0.827),
    "balanced_c5_bs128_1000ep": (0.743, 0.800),
    "no_bn_recalibration": (0.593, 0.811),
    "bn_recalibration_100x64": (0.696, 0.811),
}


def test_it_is_the_sum_of_the_logarithms_of_ranks() -> None:
    scores, cost = np.array([3.0, 1, 2, 2]), np.array([10.0, 10, 30, 20])
    expected = [
        math.log(4 / 4) + math.log(1.5 / 4),
        math.log(1 / 4) + math.log(1.5 / 4),
        math.log(2.5 / 4) + math.log(4 / 4),
        math.log(2.5 / 4) + math.log(3 / 4),
    ]
    assert corrected(scores, cost) == pytest.approx(expected)
    # The last two are one network: their score is 1.5, between the others'.
    found = corrected(np.array([3.0, 1, 1, 2]), np.array([10.0, 10, 30, 30]), np.array([0, 1, 2, 2]))
    expected = [math.log(1) + math.log(1.5 / 4), math.log(1 / 4) + math.log(1.5 / 4), *2 * [math.log(2.5 * 3.5 / 16)]]
    assert found == pytest.approx(expected)


def test_networks_of_equal_scores_tie_however_many_are_averaged() -> None:
    scores, same = np.full(17, 30.17), np.array([0, *[1] * 16])
    assert np.unique(np.bincount(same, scores) / np.bincount(same)).size == 2
    assert len(set(corrected(scores, np.ones(17), same).tolist())) == 1


def test_it_lifts_the_published_supernets(shared_data: Path) -> None:
    with np.load(shared_data / "nb201.npz", allow_pickle=False) as table:
        architectures, truth = table["arch"], table["test_acc_200"][:, 0]
    live = live_costs(nasbench201(), architectures, FLOPS.of)
    same = equal_networks(nasbench201(widths=(1,), depths=(1,)), [tuple(a) for a in architectures.tolist()])
    with np.load(shared_data / "nb201_supernet_scores.npz", allow_pickle=False) as scores:
        for name, expected in SUPERNETS.items():
            raw = scores[name].astype(np.float64)
            taus = [kendalltau(values, truth).statistic for values in (raw, corrected(raw, live, same))]
            assert taus == pytest.approx(expected, abs=6e-4), name


def options_of(name: str) -> SearchOptions:
    return SearchOptions(
        title="x", search_strategy=name, population=10, parent_num=4, generation_num=4, re_population=10, re_sample=4,
        startup=8, random_iteration=50, inner_evaluations=200, bo_pool=20, budget_evaluations=50,
    )  # fmt: skip


RETOLD = [name for name in STRATEGIES if name not in ("tpe", "differentiable", "mfkd1", "mfkd2", "mfasc")]


@pytest.mark.parametrize("name", RETOLD)
def test_a_killed_search_by_corrected_scores_ends_the_same(name: str, tmp_path: Path) -> None:
    space = toy_space(layers=5)
    tables = toy_tables(space)
    correction = Correction(space, ACCURACY, space.input_shape[1])
    candidates = Limits(space).sample_distinct(Random(5), 50)
    problem = Problem(Limits(space), tables=tables, candidates=candidates, controller=FactorisedController(space.sizes))
    problem = replace(problem, objectives=correction.objectives(problem))
    assert problem.objectives == (CORRECTED,)

    def made() -> Strategy:
        strategy = make_strategy(name, problem, options_of(name))
        check_retold(name, strategy, "corrected")
        return strategy

    def searched(evaluator: ToyEvaluator, path: Path) -> list[Result]:
        ledger = Ledger(Stop(evaluations=50))
        return run(made(), evaluator, Archive(path, FINGERPRINTS), tables, ledger=ledger, correct=correction)

    expected = searched(ToyEvaluator(), tmp_path / "whole.jsonl")
    for lives in (3, 11, 17):
        with pytest.raises(Killed):
            searched(MortalEvaluator(lives), tmp_path / "killed.jsonl")
    assert searched(ToyEvaluator(), tmp_path / "killed.jsonl") == expected


def test_strategies_breed_from_ranks_among_everything_so_far() -> None:
    """The parents of an evolution are the best by the corrected scores of all, not by those of their own time."""
    space = toy_space(layers=5)
    correction = Correction(space, ACCURACY, space.input_shape[1])
    problem = Problem(Limits(space), objectives=(CORRECTED,))
    evolution = STRATEGIES["evolution"](problem, options_of("evolution"), 3)
    evaluator, known = ToyEvaluator(), []
    for _ in range(4):
        batch = evolution.ask(100)
        results = list(evaluator.evaluate(batch))
        known += results
        again = correction(known)
        evolution.retell(again)  # type: ignore[attr-defined]
        evolution.tell(again[-len(results) :])
    evolution.ask(1)  # learns what it was told
    best = sorted(correction(known), key=CORRECTED.score, reverse=True)[:4]
    parents = [(score, member) for score, member in evolution._parents]  # type: ignore[attr-defined]
    assert [score for score, _ in parents] == pytest.approx([CORRECTED.score(result) for result in best])


def test_a_failed_evaluation_has_no_rank() -> None:
    space = toy_space(layers=3)
    results = [Result(a, {"accuracy": score}) for a, score in (((0, 1, 0, 0), 0.5), ((1, 0, 0, 0), math.nan))]
    found = Correction(space, ACCURACY, 16)([*results, Result((1, 1, 0, 0), {"accuracy": 0.25})])
    assert [CORRECTED.name in result.metrics for result in found] == [True, False, True]


@pytest.mark.parametrize("name", ["tpe", "differentiable"])
def test_what_cannot_be_told_again_is_refused(name: str) -> None:
    class Own:
        def tell(self, results: object) -> None: ...

    with pytest.raises(UserError, match="--score corrected: --search-strategy mine"):
        check_retold("mine", Own(), "corrected")  # type: ignore[arg-type]
    if name == "tpe":
        pytest.importorskip("optuna")
        with pytest.raises(UserError, match="--score corrected: Tpe learns"):
            check_retold(name, make_strategy(name, Problem(Limits(toy_space())), options_of(name)), "corrected")


def test_a_space_without_costs_cannot_be_corrected() -> None:
    with pytest.raises(UserError, match="nothing says what an architecture of letters costs"):
        Correction(DecisionSpace("letters", (Decision("a", ("x", "y")),)), ACCURACY, 0)


def test_a_search_chooses_by_the_corrected_score(here: Path) -> None:  # noqa: F811
    assert main([*EVOLUTION, "--score", "corrected", "--output", "whole"]) == 0
    assert "accuracy corrected for live FLOPs" in (here / "whole/log.txt").read_text()
    best = json.loads((here / "whole/best.json").read_text())
    rows = [json.loads(line) for line in (here / "whole/archive.jsonl").read_text().splitlines()][1:]
    assert best["search"]["score"] == "corrected"
    assert best["search"]["objectives"] == ["accuracy:max"]
    scores = np.array([row["metrics"]["accuracy"] for row in rows])
    cost = np.array([row["cost"]["flops"] for row in rows])
    found = corrected(scores, cost)
    assert best["selected_with"]["corrected"] == pytest.approx(found.max(), abs=1e-9)
    assert best["architecture"] == rows[int(found.argmax())]["architecture"]
    assert "corrected" in (here / "whole/results.csv").read_text().splitlines()[0]
    size = ["--population", "8", "--evaluations", "16", "--score", "corrected"]
    warm = ["--search-strategy", "predictor", "--warm-start", "whole/results.csv", "--output", "other"]
    with pytest.raises(UserError, match="no --warm-start"):
        main([*QUICK, *size, *warm])
    assert main([*QUICK, "--search-strategy", "nsga2", *size, "--output", "front"]) == 0
    lines = (here / "front/front.csv").read_text().splitlines()
    members = {tuple(map(int, row.split(",")[-2].split())) for row in lines[1:]}
    rows = [json.loads(line) for line in (here / "front/archive.jsonl").read_text().splitlines()][1:]
    cost = np.array([row["cost"]["flops"] for row in rows])
    found = corrected(np.array([row["metrics"]["accuracy"] for row in rows]), cost)
    values = np.stack([-found, cost], 1)
    assert members == {tuple(rows[position]["architecture"]) for position in non_dominated(values)}
