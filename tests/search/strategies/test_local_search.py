from __future__ import annotations

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.problem import Problem
from search.result import Result
from search.strategies.local_search import LocalSearch, LocalSearchOptions
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_accuracy, toy_space
from supernet import Architecture


class TestFirstImprovement(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> LocalSearch:
        return local_search(problem.limits, seed)


class TestSeveralNeighboursAtOnce(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> LocalSearch:
        return local_search(problem.limits, seed, proposals=5)


class TestBestImprovement(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> LocalSearch:
        return local_search(problem.limits, seed, ls_improvement="best")


def local_search(constraint: Limits, seed: int = 0, **settings: object) -> LocalSearch:
    return LocalSearch(Problem(constraint), LocalSearchOptions(**settings), seed)  # type: ignore[arg-type]


def distance(first: Architecture, second: Architecture) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))


def test_best_improvement_moves_to_the_best_neighbour() -> None:
    space = toy_space(layers=6)
    strategy = local_search(Limits(space), 1, ls_improvement="best")
    (start,) = strategy.ask(100)
    strategy.tell(results_of([start]))
    around = strategy.ask(100)
    assert set(around) == {space.canonical(a) for a in space.neighbours(start)} - {start}
    strategy.tell(results_of(around))
    best = max(around, key=toy_accuracy)
    assert toy_accuracy(best) > toy_accuracy(start)
    following = strategy.ask(100)
    assert set(following) <= {space.canonical(a) for a in space.neighbours(best)}


def test_first_improvement_moves_at_the_first_better_neighbour() -> None:
    space = toy_space(layers=6)
    strategy = local_search(Limits(space), 2)
    (start,) = strategy.ask(1)
    strategy.tell([Result(start, {"accuracy": 0.5})])
    for _ in range(3):
        (worse,) = strategy.ask(1)
        assert worse in {space.canonical(a) for a in space.neighbours(start)}
        strategy.tell([Result(worse, {"accuracy": 0.4})])
    (better,) = strategy.ask(1)
    strategy.tell([Result(better, {"accuracy": 0.6})])
    assert strategy.ask(1)[0] in {space.canonical(a) for a in space.neighbours(better)}


def test_it_leaves_a_local_optimum_by_two_decisions() -> None:
    space = toy_space(layers=6)
    strategy = local_search(Limits(space), 3, ls_improvement="best")
    (start,) = strategy.ask(1)
    strategy.tell([Result(start, {"accuracy": 0.9})])
    around = strategy.ask(100)
    strategy.tell([Result(a, {"accuracy": 0.1}) for a in around])
    strategy.ask(100)
    assert strategy._current is not None
    assert strategy._current != start
    encodings = [a for a in space.enumerate() if space.canonical(a) == strategy._current]
    assert min(distance(start, a) for a in encodings) <= 2


def test_an_unknown_improvement_is_refused() -> None:
    with pytest.raises(UserError, match="improvement"):
        local_search(Limits(toy_space()), ls_improvement="fist")
