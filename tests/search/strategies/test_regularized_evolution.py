from __future__ import annotations

import random
from collections import Counter

import pytest
from scipy.stats import chisquare

from lookup_tables.limits import Limits
from search.result import Result
from search.strategies.regularized_evolution import RegularizedEvolution
from tests.search.strategies.strategy_suite import StrategySuite
from tests.search.toy import results_of, toy_accuracy, toy_space


class TestRegularizedEvolution(StrategySuite):
    def make(self, constraint: Limits, seed: int = 0, evaluations: int = 120) -> RegularizedEvolution:
        return RegularizedEvolution(constraint, evaluations=evaluations, population=20, sample_size=5, seed=seed)


class TestWithCrossoverInBatches(StrategySuite):
    def make(self, constraint: Limits, seed: int = 0, evaluations: int = 120) -> RegularizedEvolution:
        return RegularizedEvolution(
            constraint, evaluations=evaluations, population=20, sample_size=5, crossover=True, proposals=4, seed=seed
        )


def test_a_tournament_is_won_as_often_as_by_drawing_its_members() -> None:
    strategy = RegularizedEvolution(Limits(toy_space(layers=6)), population=12, sample_size=4, seed=1)
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
    strategy = RegularizedEvolution(Limits(toy_space(layers=6)), population=6, sample_size=6, seed=0)
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
    strategy = RegularizedEvolution(Limits(space), population=8, sample_size=99, seed=4)
    members = strategy.ask(8)
    strategy.tell(results_of(members))
    best = max(members, key=toy_accuracy)
    (child,) = strategy.ask(1)
    assert child in {space.canonical(a) for a in space.neighbours(best)}


def test_one_decision_changes_whichever_to_whatever_unless_a_probability_is_given() -> None:
    strategy = RegularizedEvolution(Limits(toy_space(layers=2)), seed=3)  # 2, 3 and 3 options
    parent = (1, 0, 2)
    children = Counter(strategy._changed(parent) for _ in range(6000))
    assert all(sum(a != b for a, b in zip(child, parent, strict=True)) == 1 for child in children)
    expected = {(0, 0, 2): 2000, (1, 1, 2): 1000, (1, 2, 2): 1000, (1, 0, 0): 1000, (1, 0, 1): 1000}
    assert chisquare([children[a] for a in expected], list(expected.values())).pvalue > 1e-3


def test_without_deduplication_proposals_repeat() -> None:
    strategy = RegularizedEvolution(Limits(toy_space(layers=2)), evaluations=50, population=5, dedup=False)
    proposals = []
    while batch := strategy.ask(50):
        strategy.tell(results_of(batch))
        proposals += batch
    assert len(proposals) == 50
    assert len(set(proposals)) <= 12


def test_asking_too_early_is_refused() -> None:
    strategy = RegularizedEvolution(Limits(toy_space()), population=5)
    batch = strategy.ask(5)
    strategy.tell(results_of(batch[1:]))
    with pytest.raises(RuntimeError, match="tell the results"):
        strategy.ask(1)
