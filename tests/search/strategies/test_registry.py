from __future__ import annotations

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limit, Limits
from search.engine import with_costs
from search.options import SearchOptions
from search.strategies import STRATEGIES, make_strategy
from tests.search.toy import results_of, toy_space, toy_tables

SETTINGS = {"population": 12, "parent_num": 4, "evaluations": 30, "random_iteration": 30, "generation_num": 2}


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"differentiable"}))
def test_every_strategy_is_made_from_options(name: str) -> None:
    if name == "tpe":
        pytest.importorskip("optuna", reason="needs the extra tpe")
    space = toy_space()
    tables = toy_tables(space)
    constraint = Limits(space, [Limit(tables["flops"], upper=0.8 * tables["flops"].maximum()[0])])
    options = SearchOptions(title="toy", search_strategy=name, inner_evaluations=60, **SETTINGS)  # type: ignore[arg-type]
    strategy = make_strategy(name, constraint, options)
    proposals = []
    while batch := strategy.ask(100):
        strategy.tell([with_costs(result, tables) for result in results_of(batch)])
        proposals += batch
    assert len(set(proposals)) == len(proposals) == strategy.budget
    assert all(map(constraint.allows, proposals))


def test_what_only_the_predictor_learns_from_is_refused() -> None:
    options = SearchOptions(title="toy", search_strategy="tpe", warm_start="results.csv")
    with pytest.raises(UserError, match="--warm-start is for --search-strategy predictor"):
        make_strategy("tpe", Limits(toy_space()), options)


@pytest.mark.parametrize("name", ["evolution", "regularized_evolution", "local_search", "bayesian", "rl"])
def test_one_objective_is_all_that_some_take(name: str) -> None:
    options = SearchOptions(title="toy", search_strategy=name, objective="accuracy,flops")
    with pytest.raises(UserError, match="one objective, not 2"):
        make_strategy(name, Limits(toy_space()), options)
