from __future__ import annotations

from itertools import islice

import pytest

from lookup_tables.limits import Limit, Limits
from search.problem import Problem
from search.strategies.grid import GridOptions, GridSearch
from search.testing.strategies import StrategySuite
from search.testing.toy import toy_space, toy_tables
from supernet import SearchSpace, build_space


class TestGrid(StrategySuite):
    beats_random = False

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> GridSearch:
        return GridSearch(problem, GridOptions(grid_shuffle=True), seed)


def grid(constraint: Limits) -> GridSearch:
    return GridSearch(Problem(constraint), GridOptions(), 0)


def listed(space: SearchSpace, constraint: Limits) -> list[tuple[int, ...]]:
    canonical = (a for a in space.enumerate() if space.canonical(a) == a)
    return [a for a in canonical if constraint.allows(a)]


@pytest.mark.parametrize("band", [(0.0, 1.0), (0.3, 0.5), (0.31, 0.32), (0.9, 2.0)])
def test_it_is_the_list_of_all_networks_within_the_limits_in_order(band: tuple[float, float]) -> None:
    space = toy_space(layers=5)
    table = toy_tables(space)["flops"]
    low, high = table.minimum()[0], table.maximum()[0]
    limits = [low + share * (high - low) for share in band]
    constraint = Limits(space, [Limit(table, lower=limits[0], upper=limits[1])])
    assert grid(constraint).ask(10**6) == listed(space, constraint)


def test_without_a_table_it_is_everything() -> None:
    space = toy_space(layers=5)
    found = grid(Limits(space)).ask(10**6)
    assert found == listed(space, Limits(space))
    assert len(found) == space.num_canonical


def test_in_a_space_that_nobody_can_list_it_starts_at_once() -> None:
    space = build_space("proxylessnas", resolution=32, num_classes=10)
    table = toy_tables(space)["flops"]
    found = grid(Limits(space, [Limit(table, upper=table.minimum()[0] * 2)])).ask(50)
    assert len(found) == len(set(found)) == 50
    assert found == sorted(found)
    assert max(table.cost([*found])) <= table.minimum()[0] * 2


def test_decisions_that_cannot_matter_do_not_hold_it_up() -> None:
    """Behind depth 1 lie 3^39 encodings of three networks."""
    space = toy_space(layers=40)
    found = grid(Limits(space)).ask(200)
    assert len(found) == 200
    assert found == list(islice((a for a in found if space.canonical(a) == a), 200))
