from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limit, Limits
from search.engine import with_costs
from search.objectives import ACCURACY, Objective, parse_objectives
from search.options import SearchOptions
from search.problem import Problem
from search.strategies import STRATEGIES, make_strategy, searches_front
from search.testing.toy import results_of, toy_space, toy_tables
from supernet.controllers import FactorisedController

SETTINGS = {"population": 12, "parent_num": 4, "budget_evaluations": 30, "random_iteration": 30, "generation_num": 2}


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"differentiable"}))
def test_every_strategy_is_made_from_options(name: str) -> None:
    if name == "tpe":
        pytest.importorskip("optuna", reason="needs the extra tpe")
    space = toy_space()
    tables = toy_tables(space)
    constraint = Limits(space, [Limit(tables["flops"], upper=0.8 * tables["flops"].maximum()[0])])
    options = SearchOptions(title="toy", search_strategy=name, inner_evaluations=60, **SETTINGS)  # type: ignore[arg-type]
    front = (ACCURACY, Objective("flops")) if searches_front(name) else (ACCURACY,)
    candidates = constraint.sample_distinct(Random(0), 30)
    controller = FactorisedController(space.sizes)
    strategy = make_strategy(
        name, Problem(constraint, front, tables, candidates=candidates, controller=controller), options
    )
    most = strategy.size or options.budget_evaluations
    proposals: list[tuple[int, ...]] = []
    while batch := strategy.ask(most - len(proposals)):
        strategy.tell([with_costs(result, tables) for result in results_of(batch)])
        proposals += batch
    assert len(set(proposals)) == len(proposals) == most
    assert all(map(constraint.allows, proposals))


class Broken:
    def __init__(self, problem: Problem, options: SearchOptions, seed: int) -> None:
        self.asked = 0

    def ask(self, n: int) -> list[tuple[int, ...]]:
        self.asked += 1
        return [(9, 9)] if self.asked == 1 else [{}[n]]

    def tell(self, results: object) -> None:
        """Nothing is learned."""


def test_a_strategy_that_was_entered_is_held_to_what_a_strategy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "broken", Broken)
    options = SearchOptions(title="toy", search_strategy="broken")
    strategy = make_strategy("broken", Problem(Limits(toy_space())), options)
    with pytest.raises(UserError, match=r"--search-strategy broken: ask\(\) proposed \(9, 9\), which is not"):
        strategy.ask(1)
    with pytest.raises(UserError, match=r"test_registry:broken' raised KeyError: 1 \(.*test_registry\.py, line"):
        strategy.ask(1)


def test_the_suites_are_not_imported_with_the_search() -> None:
    lines = "import search, search.strategies, sys; assert not {'pytest', 'search.testing'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", lines], check=True)


def test_what_only_the_predictor_learns_from_is_refused() -> None:
    options = SearchOptions(title="toy", search_strategy="tpe", warm_start="results.csv")
    with pytest.raises(UserError, match="--warm-start is for --search-strategy predictor"):
        make_strategy("tpe", Problem(Limits(toy_space())), options)


@pytest.mark.parametrize("name", ["evolution", "regularized_evolution", "local_search", "bayesian", "rl"])
def test_one_objective_is_all_that_some_take(name: str) -> None:
    problem = Problem(Limits(toy_space()), parse_objectives("accuracy,flops"))
    with pytest.raises(UserError, match=f"--search-strategy {name} has one objective, not 2"):
        make_strategy(name, problem, SearchOptions(title="toy", search_strategy=name))
