from __future__ import annotations

import pytest

from lookup_tables.limits import Limit, Limits
from search.problem import Problem
from search.result import Result
from search.strategies.evolution import Evolution, EvolutionOptions
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_accuracy, toy_space, toy_tables


class TestOSNASLibForm(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> Evolution:
        generations = max(0, round((evaluations - 20) / 15))
        return evolution(problem.limits, seed, population=20, parent_num=5, generation_num=generations)


class TestSPOSForm(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> Evolution:
        children = {"mutation_num": 8, "crossover_num": 8, "evolution_form": "spos"}
        generations = evaluations // 20 - 1
        return evolution(problem.limits, seed, population=20, parent_num=5, generation_num=generations, **children)


def evolution(constraint: Limits, seed: int = 0, **settings: object) -> Evolution:
    options = EvolutionOptions(**{"population": 12, "parent_num": 4, **settings})  # type: ignore[arg-type]
    return Evolution(Problem(constraint), options, seed)


def test_asking_for_the_next_generation_too_early_is_refused() -> None:
    strategy = evolution(Limits(toy_space()))
    batch = strategy.ask(12)
    strategy.tell(results_of(batch[:-1]))
    with pytest.raises(RuntimeError, match="tell the results"):
        strategy.ask(1)
    strategy.tell(results_of(batch[-1:]))
    assert len(strategy.ask(100)) == 8


def test_the_order_of_results_changes_nothing() -> None:
    first, second = (evolution(Limits(toy_space())) for _ in range(2))
    while batch := first.ask(12):
        assert second.ask(12) == batch
        first.tell(results_of(batch))
        second.tell(results_of(batch)[::-1])


def test_children_of_osnaslib_are_single_point_crossovers_of_the_best() -> None:
    """Without mutation every child is the head of one elite and the tail of another."""
    space = toy_space(layers=6)
    strategy = evolution(Limits(space), mutation_prob=1e-9)
    population = strategy.ask(12)
    strategy.tell(results_of(population))
    elites = sorted(population, key=lambda a: -toy_accuracy(a))[:4]
    spliced = {space.canonical(a[:cut] + b[cut:]) for a in elites for b in elites for cut in range(1, len(a))}
    children = strategy.ask(8)
    assert len(spliced.intersection(children)) >= 5  # duplicates of the elites give way to random architectures


def test_elites_of_earlier_generations_keep_breeding() -> None:
    space = toy_space(layers=6)
    mutants = {"evolution_form": "spos", "mutation_num": 8, "crossover_num": 0}  # and 4 random ones
    strategy = evolution(Limits(space), mutation_prob=0.01, generation_num=3, **mutants)
    population = strategy.ask(12)
    strategy.tell(results_of(population))
    best = sorted(population, key=lambda a: -toy_accuracy(a))[:4]
    strategy.tell([Result(a, {"accuracy": 0.0}) for a in strategy.ask(12)])  # worse than every elite
    third = strategy.ask(8)
    near = [a for a in third if any(a in {space.canonical(n) for n in space.neighbours(b)} for b in best)]
    assert len(near) >= 4


def test_ties_go_to_the_earlier_proposal() -> None:
    strategy = evolution(Limits(toy_space()), parent_num=2)
    population = strategy.ask(12)
    strategy.tell([Result(a, {"accuracy": 0.5}) for a in population])
    strategy.ask(1)
    assert [parent for _, parent in strategy._parents] == population[:2]


def test_without_deduplication_proposals_repeat() -> None:
    space = toy_space(layers=2)
    strategy = evolution(Limits(space), dedup=False, generation_num=5)
    proposals = []
    while batch := strategy.ask(50):
        strategy.tell(results_of(batch))
        proposals += batch
    assert len(proposals) == strategy.size == 12 + 5 * 8
    assert len(set(proposals)) <= space.num_canonical == 12


def test_in_a_tight_band_of_a_large_space_it_neither_hangs_nor_leaves_the_band() -> None:
    space = toy_space(layers=14)
    table = toy_tables(space)["flops"]
    assert space.size > 1 << 16
    band = Limits(space, [Limit(table, upper=table.minimum()[0] * 1.001)])
    strategy = evolution(band, generation_num=3)
    while batch := strategy.ask(20):
        assert all(band.allows(architecture) for architecture in batch)
        strategy.tell(results_of(batch))
