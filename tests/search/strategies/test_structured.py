"""The strategy that searches by a structure: against brute force where the answer can be listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from config_file.errors import UserError
from lookup_tables import build_table
from lookup_tables.limits import Limit, Limits
from lookup_tables.network_costs import counted_costs
from search.engine import with_costs
from search.objectives import ACCURACY, Objective, parse_objectives
from search.pareto import front_over_cost, hypervolume
from search.problem import Problem
from search.result import Result
from search.strategies.nsga import Nsga2, NsgaOptions
from search.strategies.structured import StructuredOptions, StructuredSearch
from search.structure.model import Fit, ranks
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_accuracy, toy_space, toy_tables
from supernet import build_space
from supernet.decisions import Decision, DecisionSpace
from supernet.fronts import exact_front
from supernet.spaces.nasbench101 import nasbench101


class TestStructured(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> StructuredSearch:
        return StructuredSearch(problem, StructuredOptions(), seed)


def measured(strategy: StructuredSearch | Nsga2, problem: Problem, evaluations: int) -> list[Result]:
    told: list[Result] = []
    while len(told) < evaluations and (batch := strategy.ask(evaluations - len(told))):
        results = [with_costs(result, problem.tables) for result in results_of(batch)]
        strategy.tell(results)
        told += results
    return told


def test_the_best_within_a_limit_is_found_exactly() -> None:
    """Of scores that are a sum, once the sum is known: 38 evaluations of 4,374 networks."""
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    table = build_table(space, "flops", 32)
    low, high = table.minimum()[0], table.maximum()[0]
    limits = Limits(space, [Limit(table, upper=low + 0.4 * (high - low))])
    gains = np.random.default_rng(3).normal(size=(8, 3))

    def score(architecture: tuple[int, ...]) -> float:
        return float(gains[np.arange(8), architecture].sum())

    strategy = StructuredSearch(Problem(limits, tables={"flops": table}), StructuredOptions(), 0)
    best = max(score(a) for a in space.enumerate() if limits.allows(a))
    found = []
    while len(found) < 60:
        batch = strategy.ask(60 - len(found))
        strategy.tell([Result(a, {"accuracy": score(a)}) for a in batch])
        found += [score(a) for a in batch]
    assert max(found) == best
    assert found.index(best) < 40


def test_it_measures_a_better_front_than_evolution() -> None:
    space = toy_space(layers=7)
    tables = toy_tables(space)
    problem = Problem(Limits(space), parse_objectives("accuracy,flops"), tables)
    every = [space.canonical(a) for a in space.enumerate()]
    reference = [0.0, float(tables["flops"].maximum()[0])]
    full = np.stack([-np.array(list(map(toy_accuracy, every))), tables["flops"].cost(every)], axis=1)
    volumes = []
    for strategy in (StructuredSearch(problem, StructuredOptions(), 1), Nsga2(problem, NsgaOptions(population=20), 1)):
        told = measured(strategy, problem, 80)
        values = np.stack([[-result.value("accuracy"), result.cost["flops"]] for result in told])
        volumes.append(hypervolume(values, reference) / hypervolume(full, reference))
    assert volumes[0] > max(0.97, volumes[1] + 0.02)


def test_the_exact_front_of_the_true_sums_of_nasbench_macro_is_that_of_all_networks(shared_data: Path) -> None:
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    with np.load(shared_data / "nasbench_macro_cifar10.npz", allow_pickle=False) as file:
        networks = [tuple(map(int, row)) for row in file["arch"]]
        truth, flops = file["mean_acc"].astype(float), file["macs"].astype(float)
    for form in ("additive", "adjacent pairs"):
        structure = Fit.of(space, space.encode(networks), ranks(truth), form, 0.1, 0.1).structure
        front = exact_front(space.sizes, structure.factors(), [build_table(space, "flops", 32).factors])
        loss = -structure(networks)
        members = front_over_cost(flops, np.round(loss, 9))
        assert front.costs[:, 0].tolist() == flops[members].tolist()
        np.testing.assert_allclose(-front.values, loss[members], atol=1e-8)


def test_trained_networks_put_it_right() -> None:
    """Scores that have one decision the wrong way round, and ten trainings that know better."""
    space = DecisionSpace("chain", tuple(Decision(f"d{d}", ("a", "b", "c")) for d in range(5)))
    every = list(space.enumerate())
    gains = np.random.default_rng(0).normal(size=(5, 3))
    gains[0] = (-3, 0, 3)
    wrong = gains.copy()
    wrong[0] = (0.3, 0, -0.3)
    truth, scores = (of[np.arange(5), np.array(every)].sum(1) for of in (gains, wrong))
    known = np.random.default_rng(1).choice(len(every), 10, replace=False)
    trained = {every[i]: float(truth[i]) for i in known}
    found = []
    for exact in ({}, trained):
        strategy = StructuredSearch(Problem(Limits(space), trained=exact), StructuredOptions(startup=40), 0)
        batch = strategy.ask(40)
        strategy.tell([Result(a, {"accuracy": float(scores[every.index(a)])}) for a in batch])
        strategy.ask(1)
        found.append(np.corrcoef(strategy._fitted().structure(every), truth)[0, 1])
    assert found[1] > found[0] + 0.2


def test_several_measured_objectives_are_refused() -> None:
    space = toy_space()
    tables = toy_tables(space)
    for objectives in ("accuracy,loss", "flops", "accuracy,flops:max"):
        with pytest.raises(UserError, match="structured has one objective that is measured"):
            StructuredSearch(Problem(Limits(space), parse_objectives(objectives), tables), StructuredOptions(), 0)


def test_cells_of_costs_that_are_no_sums_are_searched_too() -> None:
    space = nasbench101()
    objectives = (ACCURACY, Objective("flops"))
    problem = Problem(Limits(space), objectives, {"flops": counted_costs(space, 32)["flops"]})
    strategy = StructuredSearch(problem, StructuredOptions(startup=6, structured_round=4), 0)
    first = strategy.ask(6)
    strategy.tell([Result(a, {"accuracy": sum(a) / 100}, cost={"flops": sum(a)}) for a in first])
    second = strategy.ask(4)
    assert len({*first, *second}) == 10
    assert all(map(space.allows, second))
