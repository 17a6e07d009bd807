"""MF-NAS and R-MF-NAS as strategies, and candidates of a first stage in others."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.objectives import parse_objectives
from search.problem import Problem
from search.strategies import STRATEGIES
from search.strategies.local_search import LocalSearch, LocalSearchOptions
from search.strategies.mf_nas import MfNas, RMfNas, spread
from search.testing.toy import results_of, toy_accuracy, toy_space

SPACE = toy_space(layers=6)
CANDIDATES = Limits(SPACE).sample_distinct(Random(5), 32)
PROBLEM = Problem(Limits(SPACE), candidates=[*CANDIDATES, CANDIDATES[0]])


@pytest.mark.parametrize("strategy_class", [MfNas, RMfNas])
def test_the_candidates_are_one_population(strategy_class: type[MfNas]) -> None:
    strategy = strategy_class(PROBLEM, None, 0)
    assert strategy.population == strategy.size == 32
    assert strategy.ask(32) == CANDIDATES
    assert strategy.ask(1) == []


def test_without_candidates_or_with_several_objectives_it_is_refused() -> None:
    with pytest.raises(UserError, match="--search-strategy r_mf_nas halves what a first stage has found"):
        RMfNas(replace(PROBLEM, candidates=()), None, 0)
    with pytest.raises(UserError, match="mf_nas has one objective, not 2"):
        MfNas(replace(PROBLEM, objectives=parse_objectives("accuracy,loss")), None, 0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("regularized_evolution", {"re_population": 40}),
        ("genetic", {"ga_population": 40}),
        ("evolution", {"population": 40}),
        ("nsga2", {"population": 40}),
        ("local_search", {"proposals": 40}),
    ],
)
def test_what_starts_at_random_starts_with_the_candidates(name: str, settings: dict[str, Any]) -> None:
    entry: Any = STRATEGIES[name]
    strategy = entry(PROBLEM, entry.Options(**settings), 3)
    batch = strategy.ask(40)
    assert batch[: len(CANDIDATES)] == CANDIDATES[: len(batch)]
    strategy.tell(results_of(batch))
    following = strategy.ask(40)
    assert following
    assert not set(batch).intersection(following)


def walked() -> tuple[list[tuple[int, ...]], LocalSearch]:
    """Everything that a walk met, best first, and the walk."""
    walk = LocalSearch(Problem(Limits(SPACE)), LocalSearchOptions(), 1)
    met = []
    for _ in range(400):
        batch = walk.ask(10)
        walk.tell(results_of(batch))
        met += batch
    return sorted(met, key=toy_accuracy, reverse=True), walk


@pytest.mark.parametrize(("count", "best", "starts", "middles"), [(32, 11, 10, 11), (16, 6, 5, 5)])
def test_candidates_are_spread_over_the_walk(count: int, best: int, starts: int, middles: int) -> None:
    """The counts of R-MF-NAS's own configuration, for NAS-Bench-201 and -101."""
    ranked, walk = walked()
    chosen = spread(ranked, walk.roles, count, Random(0))
    assert len(set(chosen)) == len(chosen) == count
    assert chosen[:best] == ranked[:best]
    roles = [walk.roles[architecture] for architecture in chosen[best:]]
    assert roles == ["start"] * starts + ["middle"] * middles
    assert next(iter(walk.roles)) not in chosen[best:]
    assert spread(ranked, walk.roles, count, Random(1)) != chosen


def test_missing_starts_are_replaced_by_what_lay_between_and_then_by_the_next_best() -> None:
    ranked = [(number,) for number in range(40)]
    roles = {(39,): "start", (38,): "start", (20,): "optimum"} | {(number,): "middle" for number in range(21, 38)}
    chosen = spread(ranked, roles, 32, Random(0))  # type: ignore[arg-type]
    assert chosen[:12] == [*ranked[:11], (38,)]
    assert set(chosen[12:29]) == {(number,) for number in range(21, 38)}
    assert chosen[29:] == [(11,), (12,), (13,)]
