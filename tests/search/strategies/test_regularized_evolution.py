from __future__ import annotations

import random
from collections import Counter

import pytest
from scipy.stats import chisquare

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.problem import Problem
from search.result import Result
from search.strategies.regularized_evolution import RegularizedEvolution, RegularizedEvolutionOptions
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_accuracy, toy_space
from supernet.decisions import Decision, DecisionSpace


class TestRegularizedEvolution(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> RegularizedEvolution:
        return ageing(problem.limits, seed, re_population=20, re_sample=5)


class TestWithCrossoverInBatches(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> RegularizedEvolution:
        return ageing(problem.limits, seed, re_population=20, re_sample=5, re_crossover=True, proposals=4)


class TestAsMfNasSetsIt(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> RegularizedEvolution:
        return ageing(problem.limits, seed, re_population=10, re_sample=10, re_mutations=1)


def ageing(constraint: Limits, seed: int = 0, **settings: object) -> RegularizedEvolution:
    options = RegularizedEvolutionOptions(**settings)  # type: ignore[arg-type]
    return RegularizedEvolution(Problem(constraint), options, seed)


def test_a_tournament_is_won_as_often_as_by_drawing_its_members() -> None:
    strategy = ageing(Limits(toy_space(layers=6)), re_population=12, re_sample=4, seed=1)
    members = strategy.ask(12)
    strategy.tell([Result(a, {"accuracy": 0.01 * number}) for number, a in enumerate(members)])
    strategy.ask(1)
    rng, draws = random.Random(0), 20_000
    drawn = Counter(members[max(rng.sample(range(12), 4))] for _ in range(draws))
    ours = Counter(strategy._winner() for _ in range(draws))
    assert set(ours) == set(drawn) == set(members[3:])  # the three worst cannot win
    ways = {members[rank]: rank * (rank - 1) * (rank - 2) for rank in range(3, 12)}
    for counts in (ours, drawn):
        expected = [draws * way / sum(ways.values()) for way in ways.values()]
        assert chisquare([counts[a] for a in ways], expected).pvalue > 1e-3


def test_the_oldest_leaves_whatever_it_is_worth() -> None:
    strategy = ageing(Limits(toy_space(layers=6)), re_population=6, re_sample=6, seed=0)
    first = strategy.ask(6)
    strategy.tell([Result(a, {"accuracy": 0.9 if number == 0 else 0.1}) for number, a in enumerate(first)])
    (child,) = strategy.ask(1)
    strategy.tell([Result(child, {"accuracy": 0.2})])
    strategy.ask(1)
    assert [member[2] for member in strategy._oldest_first] == [*first[1:], child]
    assert strategy._ranked == sorted(strategy._oldest_first)
    assert strategy._winner() == child


def test_a_tournament_of_all_breeds_from_the_best() -> None:
    space = toy_space(layers=6)
    strategy = ageing(Limits(space), re_population=8, re_sample=99, seed=4)
    members = strategy.ask(8)
    strategy.tell(results_of(members))
    best = max(members, key=toy_accuracy)
    (child,) = strategy.ask(1)
    assert child in {space.canonical(a) for a in space.neighbours(best)}


def test_without_deduplication_proposals_repeat() -> None:
    strategy = ageing(Limits(toy_space(layers=2)), re_population=5, dedup=False)
    proposals: list[tuple[int, ...]] = []
    while batch := strategy.ask(50 - len(proposals)):
        strategy.tell(results_of(batch))
        proposals += batch
    assert len(proposals) == 50
    assert len(set(proposals)) <= 12


def test_asking_too_early_is_refused() -> None:
    strategy = ageing(Limits(toy_space()), re_population=5)
    batch = strategy.ask(5)
    strategy.tell(results_of(batch[1:]))
    with pytest.raises(RuntimeError, match="tell the results"):
        strategy.ask(1)


def test_so_many_decisions_change_on_average() -> None:
    space = DecisionSpace("plain", tuple(Decision(f"d{number}", tuple("abcde")) for number in range(12)))
    strategy = ageing(Limits(space), re_population=10, re_sample=10, re_mutations=2, proposals=3000, dedup=False)
    members = strategy.ask(10)
    strategy.tell([Result(a, {"accuracy": float(number == 3)}) for number, a in enumerate(members)])
    changes = [sum(a != b for a, b in zip(members[3], child, strict=True)) for child in strategy.ask(3000)]
    # Each of 12 changes with probability 1/6; a child that is its parent does not count.
    none = (1 - 1 / 6) ** 12
    assert sum(changes) / len(changes) == pytest.approx(2 / (1 - none), abs=0.1)
    assert changes.count(1) / len(changes) == pytest.approx(12 / 6 * (5 / 6) ** 11 / (1 - none), abs=0.03)


def test_two_ways_to_say_how_much_changes_are_refused() -> None:
    with pytest.raises(UserError, match="--re-mutations and --re-mutation-prob both say"):
        RegularizedEvolutionOptions(re_mutations=1, re_mutation_prob=0.5)
