from __future__ import annotations

import random

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.problem import Problem
from search.result import Result
from search.strategies.local_search import LocalSearch, LocalSearchOptions
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_accuracy, toy_space
from supernet import Architecture
from supernet.decisions import Decision, DecisionSpace


class TestFirstImprovement(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> LocalSearch:
        return local_search(problem.limits, seed)


class TestSeveralNeighboursAtOnce(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> LocalSearch:
        return local_search(problem.limits, seed, proposals=5)


class TestBestImprovementAsCoded(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> LocalSearch:
        return local_search(problem.limits, seed, ls_improvement="coded")


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


def plain_space(decisions: int) -> DecisionSpace:
    return DecisionSpace("plain", tuple(Decision(f"d{number}", ("a", "b", "c")) for number in range(decisions)))


@pytest.mark.parametrize("form", ["first", "best", "coded"])
def test_it_leaves_a_local_optimum_by_two_decisions(form: str) -> None:
    strategy = local_search(Limits(plain_space(5)), 3, ls_improvement=form)
    (start,) = strategy.ask(1)
    strategy.tell([Result(start, {"accuracy": 0.9})])
    for _ in range(10):
        (neighbour,) = strategy.ask(1)
        assert distance(start, neighbour) == 1
        strategy.tell([Result(neighbour, {"accuracy": 0.9})])  # equal is not better
    (target,) = strategy.ask(1)
    assert distance(start, target) == 2
    assert strategy.roles == {start: "start"}


def test_the_coded_form_moves_at_once_and_goes_on_with_the_remaining_decisions() -> None:
    strategy = local_search(Limits(plain_space(4)), 5, ls_improvement="coded")
    (node,) = strategy.ask(1)
    strategy.tell([Result(node, {"accuracy": sum(node)})])
    swept: list[int] = []
    while len(swept) < 8:  # two other options for each of four decisions
        (neighbour,) = strategy.ask(1)
        assert distance(node, neighbour) == 1  # of where it stands by now, not of where the sweep began
        swept += [position for position in range(4) if node[position] != neighbour[position]]
        strategy.tell([Result(neighbour, {"accuracy": sum(neighbour)})])
        if sum(neighbour) > sum(node):
            node = neighbour
    assert swept[::2] == swept[1::2]
    assert sorted(swept[::2]) == [0, 1, 2, 3]
    assert node == (2, 2, 2, 2)


@pytest.mark.parametrize("form", ["first", "best", "coded"])
def test_what_the_walk_stood_on_has_a_role(form: str) -> None:
    space = plain_space(5)
    worth = {a: random.Random(str(a)).random() for a in space.enumerate()}
    strategy = local_search(Limits(space), 1, ls_improvement=form)
    for _ in range(200):
        batch = strategy.ask(1000)
        strategy.tell([Result(a, {"accuracy": worth[a]}) for a in batch])
    roles = dict(strategy.roles)
    last = list(roles)[-1]  # where it may stand still
    for architecture, role in roles.items():
        better = any(worth[a] > worth[architecture] for a in space.neighbours(architecture))
        assert role == "start" or architecture == last or (role == "optimum") != better
    assert set(roles.values()) == {"start", "middle", "optimum"}
    assert next(iter(roles.values())) == "start"


def test_it_ends_after_so_many_looks_what_is_known_included() -> None:
    strategy = local_search(Limits(plain_space(3)), 2, ls_looks=60)
    proposals: list[Architecture] = []
    while batch := strategy.ask(10):
        strategy.tell([Result(a, {"accuracy": sum(a) / 10}) for a in batch])
        proposals += batch
    assert 10 < len(proposals) < 27


@pytest.mark.parametrize(("spelt", "name"), [("FLS", "first"), ("bls", "best"), ("coded", "coded")])
def test_the_forms_have_their_names(spelt: str, name: str) -> None:
    assert LocalSearchOptions(ls_improvement=spelt).ls_improvement == name


def test_an_unknown_improvement_is_refused() -> None:
    with pytest.raises(UserError, match="improvement"):
        local_search(Limits(toy_space()), ls_improvement="fist")
