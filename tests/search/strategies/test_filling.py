"""Growth of children into the band below a limit: against brute force, and on NAS-Bench-Macro's published table."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from lookup_tables import build_table
from lookup_tables.limits import Limit, Limits
from search.problem import Problem
from search.result import Result
from search.strategies.evolution import Evolution, EvolutionOptions
from search.strategies.filling import doubles, filling, singles
from search.strategies.genetic import Genetic, GeneticOptions
from search.strategies.regularized_evolution import RegularizedEvolution, RegularizedEvolutionOptions
from search.testing.toy import results_of, toy_space, toy_tables
from supernet import Architecture, build_space


def test_neighbours_are_all_those_that_differ_in_one_and_in_two_decisions() -> None:
    sizes, architecture = (4, 3, 2, 1), (3, 0, 1, 0)
    for found, changes in ((singles(architecture, sizes), 1), (doubles(architecture, sizes), 2)):
        every = itertools.product(*map(range, sizes))
        expected = [
            other for other in every if sum(a != b for a, b in zip(other, architecture, strict=True)) == changes
        ]
        assert sorted(map(tuple, found.tolist())) == expected


def test_what_is_grown_keeps_to_the_limits_and_is_in_the_band_or_cannot_get_there_by_two_changes() -> None:
    space = toy_space()
    tables, rng = toy_tables(space), random.Random(0)
    most = float(np.quantile(tables["flops"].cost(list(space.enumerate())), 0.7))
    least = float(np.quantile(tables["params"].cost(list(space.enumerate())), 0.2))
    limits = Limits(space, [Limit(tables["flops"], upper=most), Limit(tables["params"], lower=least)])
    grow = filling(limits, rng, 0.9)
    assert grow is not None
    ends = set()
    for start in limits.sample_distinct(rng, 40):
        before, grown = limits.cost([start])[0], grow(start)
        cost = limits.cost([grown])[0]
        assert limits.allows(grown)
        assert grown == space.canonical(grown)
        assert grown == start if before >= 0.9 * most else cost > before or grown == start
        ends.add(cost >= 0.9 * most)
        if cost < 0.9 * most:
            near = [*singles(grown, space.sizes).tolist(), *doubles(grown, space.sizes).tolist()]
            assert not any(limits.allows(tuple(a)) and limits.cost([tuple(a)])[0] > cost for a in near)
    assert True in ends


def test_nothing_grows_where_no_upper_limit_excludes_anything_or_none_is_asked_for() -> None:
    space = toy_space()
    table, rng = toy_tables(space)["flops"], random.Random(0)
    most = table.maximum()[0]
    assert filling(Limits(space, [Limit(table, upper=most)]), rng, 0.98) is None
    assert filling(Limits(space, [Limit(table, lower=most / 2)]), rng, 0.98) is None
    assert filling(Limits(space), rng, 0.98) is None
    half = Limits(space, [Limit(table, upper=most / 2)])
    assert filling(half, rng, 0.0) is None
    assert filling(half, rng, 0.98) is not None


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (Evolution, EvolutionOptions(population=8, parent_num=4, generation_num=5)),
        (Genetic, GeneticOptions(ga_population=8)),
        (RegularizedEvolution, RegularizedEvolutionOptions(re_population=8, re_sample=4)),
    ],
)
def test_every_strategy_that_breeds_uses_its_limit(strategy, options) -> None:
    space = toy_space()
    table = toy_tables(space)["flops"]
    limits = Limits(space, [Limit(table, upper=0.7 * table.maximum()[0])])
    costs = []
    for seed in range(4):
        search = strategy(Problem(limits), options, seed)
        search.tell(results_of(search.ask(8)))
        children = [child for _ in range(8) for child in _told(search)]
        costs += limits.cost(children).tolist()
    within = table.cost(list(space.enumerate()))
    dearest = within[within <= 0.7 * table.maximum()[0]].max()
    assert np.mean(np.asarray(costs) >= 0.9 * dearest) > 0.5


def _told(search) -> list[Architecture]:
    children = search.ask(1)
    search.tell(results_of(children))
    return children


def test_what_is_chosen_on_nasbench_macro_uses_its_limit_and_is_no_worse(shared_data: Path) -> None:
    """Paired over seeds: the published mean accuracies, no noise, at most 50 M multiply-accumulates."""
    published = np.load(shared_data / "nasbench_macro_cifar10.npz", allow_pickle=False)
    accuracy = dict(zip(map(tuple, published["arch"].tolist()), published["mean_acc"].tolist(), strict=True))
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    limits = Limits(space, [Limit(build_table(space, "flops", 32), upper=50e6)])

    def chosen(fill: float, seed: int) -> Architecture:
        options = EvolutionOptions(population=20, parent_num=5, generation_num=8, fill=fill)
        search, seen = Evolution(Problem(limits), options, seed), {}
        while proposed := search.ask(64):
            seen |= {a: accuracy[a] for a in proposed}
            search.tell([Result(a, {"accuracy": seen[a] / 100, "loss": 0.0}) for a in proposed])
        return max(seen, key=seen.__getitem__)

    found = [(chosen(0.98, seed), chosen(0.0, seed)) for seed in range(6)]
    used = limits.cost([filled for filled, _ in found]) / 50e6
    assert used.min() >= 0.98
    assert (limits.cost([plain for _, plain in found]) / 50e6).mean() < used.mean()
    gain = np.array([accuracy[filled] - accuracy[plain] for filled, plain in found])
    assert gain.mean() > 0
    assert gain.min() >= -0.05
