from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2, RankAndCrowding
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UX
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from lookup_tables.limits import Limits
from search.objectives import parse_objectives
from search.pareto import hypervolume, non_dominated
from search.problem import Problem as SearchProblem
from search.result import Result
from search.strategies.nsga import Nsga2, Nsga3, NsgaOptions
from search.strategies.survival import rank_and_crowding, reference_niching
from search.testing.strategies import StrategySuite
from search.testing.toy import toy_accuracy, toy_space
from supernet import Architecture

LAYERS, POPULATION, GENERATIONS = 8, 20, 8


class TestNsga2(StrategySuite):
    def make(self, problem: SearchProblem, seed: int = 0, evaluations: int = 120) -> Nsga2:
        return Nsga2(problem, NsgaOptions(population=20), seed)


class TestNsga3(StrategySuite):
    def make(self, problem: SearchProblem, seed: int = 0, evaluations: int = 120) -> Nsga2:
        problem = replace(problem, objectives=parse_objectives("accuracy,loss"))
        return Nsga3(problem, NsgaOptions(population=20), seed)


def cost(architecture: Architecture) -> float:
    """Grows with depth and kernels: it pulls against the accuracy."""
    depth, *layers = architecture
    return float(sum(1 + kernel**1.5 for kernel in layers[: depth + 1]))


def values_of(architectures: list[Architecture]) -> np.ndarray:
    return np.array([[-toy_accuracy(a), cost(a)] for a in architectures])


REFERENCE = (0.0, 40.0)


def found_by_us(seed: int) -> np.ndarray:
    space = toy_space(LAYERS)
    problem = SearchProblem(Limits(space), parse_objectives("accuracy,cost"))
    strategy = Nsga2(problem, NsgaOptions(population=POPULATION, dedup=False), seed)
    for _ in range(GENERATIONS):
        batch = strategy.ask(POPULATION)
        strategy.tell([Result(a, {"accuracy": toy_accuracy(a)}, cost={"cost": cost(a)}) for a in batch])
    strategy.ask(1)
    return values_of(strategy.survivors)


class ToyProblem(Problem):
    def __init__(self) -> None:
        self.space = toy_space(LAYERS)
        upper = np.array(self.space.sizes) - 1
        super().__init__(n_var=len(upper), n_obj=2, xl=0, xu=upper, vtype=int)

    def _evaluate(self, x: np.ndarray, out: dict[str, np.ndarray], *args: object, **kwargs: object) -> None:
        out["F"] = values_of([self.space.canonical(tuple(map(int, row))) for row in x])


class Redraw:
    """Our mutation, for pymoo: one decision on average changes to another option."""

    def __init__(self, space: object) -> None:
        self.space = space

    def __call__(self, problem: Problem, population: Population, **kwargs: object) -> Population:
        rng = Random(int(population.get("X").sum()))
        mutants = [problem.space.mutate(tuple(map(int, row)), rng, 1 / problem.n_var) for row in population.get("X")]
        return Population.new(X=np.array(mutants))


def found_by_pymoo(seed: int) -> np.ndarray:
    problem = ToyProblem()
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=UX(prob=0.9),
        mutation=Redraw(problem.space),
        eliminate_duplicates=False,
    )
    found = minimize(problem, algorithm, ("n_gen", GENERATIONS), seed=seed)
    return found.pop.get("F")


def test_front_and_hypervolume_are_pymoos_within_the_noise_of_seeds() -> None:
    runs = [[found(seed) for seed in range(20)] for found in (found_by_us, found_by_pymoo)]
    every = np.unique(np.concatenate([values for found in runs for values in found]), axis=0)
    front = every[non_dominated(every)]
    span = np.ptp(front, axis=0)

    def volume(values: np.ndarray) -> float:
        return hypervolume(values, REFERENCE)

    def gap(values: np.ndarray) -> float:  # IGD: how far the best known front is from what was found
        return float(np.linalg.norm((front[:, None] - values[None]) / span, axis=-1).min(1).mean())

    for measure in (volume, gap):
        ours, theirs = (np.array([measure(values) for values in found]) for found in runs)
        noise = np.sqrt(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs))
        print(measure.__name__, ours.mean(), theirs.mean(), noise)
        assert abs(ours.mean() - theirs.mean()) < 3 * noise


@pytest.mark.parametrize("objectives", [2, 3])
def test_pymoo_lets_the_same_survive(objectives: int) -> None:
    for seed in range(5):
        values = np.random.default_rng(seed).random((50, objectives))
        kept = {position for position, _ in rank_and_crowding(values, 20)}
        population = Population.new(X=np.arange(50)[:, None], F=values, G=np.zeros((50, 0)))
        expected = RankAndCrowding().do(Problem(n_var=1, n_obj=objectives), population, n_survive=20)
        last = max(individual.get("rank") for individual in expected)
        theirs = {int(position) for position in expected.get("X")[:, 0]}
        # Between two with the same crowding (the two ends of the last front) pymoo draws lots.
        assert {(population[p].get("rank"), population[p].get("crowding")) for p in kept ^ theirs} <= {(last, np.inf)}


@pytest.mark.parametrize("survive", [rank_and_crowding, partial(reference_niching, rng=Random(0))])
def test_the_first_front_and_its_ends_survive(survive: Callable[..., list[tuple[int, object]]]) -> None:
    for seed in range(5):
        values = np.random.default_rng(seed).random((60, 3)) ** 2
        kept = [position for position, _ in survive(values, 30)]
        assert len(kept) == len(set(kept)) == 30
        first = set(non_dominated(values).tolist())
        assert first <= set(kept) if len(first) <= 30 else set(kept) <= first


def test_of_one_front_reference_directions_keep_a_spread() -> None:
    rng = np.random.default_rng(0)
    simplex = rng.dirichlet([1, 1, 1], 400)
    crowd = rng.dirichlet([200, 200, 200], 400)  # all at its centre
    values = np.concatenate([crowd, simplex])
    kept = values[[position for position, _ in reference_niching(values, 91, Random(0))]]
    apart = np.linalg.norm(kept[:, None] - kept[None], axis=-1)
    np.fill_diagonal(apart, 1)
    assert len(kept) == 91
    assert (apart.min(1) > 0.02).mean() > 0.8


def test_it_starts_from_what_it_is_given() -> None:
    space = toy_space()
    start = [space.canonical(a) for a in ((0, 1, 0, 0, 0), (3, 1, 1, 1, 1))]
    assert Nsga2(SearchProblem(Limits(space)), NsgaOptions(population=6), 0, start=start).ask(6)[:2] == start
