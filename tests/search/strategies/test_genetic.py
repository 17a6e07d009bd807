from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.problem import Problem
from search.result import Result
from search.strategies.genetic import Genetic, GeneticOptions, winners
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_accuracy, toy_space
from supernet.decisions import Decision, DecisionSpace

PLAIN = DecisionSpace("plain", tuple(Decision(f"d{number}", tuple("abcde")) for number in range(6)))


class TestGenetic(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> Genetic:
        return genetic(problem.limits, seed)


class TestWithLargerTournamentsAndUniformCrossover(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> Genetic:
        return genetic(problem.limits, seed, ga_population=15, ga_tournament=4, ga_crossover="uniform")


def genetic(constraint: Limits, seed: int = 0, **settings: object) -> Genetic:
    return Genetic(Problem(constraint), GeneticOptions(**settings), seed)  # type: ignore[arg-type]


def test_a_tournament_is_won_by_its_best() -> None:
    pool = [(0.1, (1,)), (0.5, (2,)), (0.3, (3,)), (0.3, (4,)), (0.9, (5,))]
    assert winners(pool, 2) == [(0.5, (2,)), (0.3, (3,)), (0.9, (5,))]
    assert winners(pool, 5) == [(0.9, (5,))]


def test_parents_and_children_survive_by_tournaments_of_two() -> None:
    """Among twice as many the best survives, the worst does not, and the others as often as they meet a worse one."""
    ranks: Counter[int] = Counter()
    searches = 600
    for seed in range(searches):
        strategy = genetic(Limits(PLAIN), seed)
        everybody = []
        for generation in range(2):
            batch = strategy.ask(10)
            everybody += batch
            worth = Random(seed).sample(range(20), 20)
            strategy.tell([Result(a, {"accuracy": worth[10 * generation + i] / 20}) for i, a in enumerate(batch)])
        strategy.ask(1)
        worth = dict(zip(everybody, Random(seed).sample(range(20), 20), strict=True))
        ranks.update(worth[member] for _, member in strategy._members)
    assert ranks[19] == searches
    assert ranks[0] == 0
    for rank in (4, 10, 15):  # the opponent is one of 19, and `rank` of these are worse
        assert ranks[rank] / searches == pytest.approx(rank / 19, abs=0.07)


def test_children_are_crossed_at_two_points_where_nothing_mutates() -> None:
    strategy = genetic(Limits(PLAIN), 1, ga_mutations=1e-9, ga_crossover_prob=1)
    first = strategy.ask(10)
    strategy.tell([Result(a, {"accuracy": 0.5}) for a in first])
    children = strategy.ask(10)
    crossed = {
        a[:low] + b[low:high] + a[high:] for a in first for b in first for low in range(6) for high in range(low + 1, 7)
    }
    assert len(crossed.intersection(children)) >= 9  # where nothing new is bred a random one takes the place


def test_everybody_fights_twice_before_anybody_fights_again() -> None:
    strategy = genetic(Limits(PLAIN), 2)
    batch = strategy.ask(10)
    strategy.tell([Result(a, {"accuracy": i / 10}) for i, a in enumerate(batch)])
    strategy.ask(1)
    strategy._parents = []
    chosen = Counter(strategy._parent() for _ in range(10))
    assert chosen[batch[9]] == 2
    assert chosen[batch[0]] == 0


def test_a_population_improves() -> None:
    space = toy_space(layers=8)
    strategy = genetic(Limits(space), 3)
    best = []
    for _ in range(15):
        batch = strategy.ask(10)
        strategy.tell(results_of(batch))
        best.append(max(map(toy_accuracy, batch)))
    assert max(best[10:]) > best[0]


def test_an_unknown_crossover_is_refused() -> None:
    assert GeneticOptions(ga_crossover="2x").ga_crossover == "two_point"
    with pytest.raises(UserError, match=r"ga-crossover.*two_point"):
        GeneticOptions(ga_crossover="3X")
