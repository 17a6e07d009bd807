"""Children of parents: operators, attempts and what no child may be."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from scipy.stats import chisquare

from lookup_tables.limits import Limit, Limits
from search.strategies.breeding import (
    Breeding,
    bred_or_drawn,
    exactly_one,
    one_on_average,
    redraw,
    single_point,
    two_point,
    uniform,
)
from search.testing.toy import toy_space, toy_tables
from supernet import Architecture


def test_crossovers_take_every_decision_from_a_parent() -> None:
    space, rng = toy_space(), random.Random(0)
    for _ in range(50):
        first, second = space.sample(rng), space.sample(rng)
        for crossover in (single_point, two_point, uniform):
            child = crossover(space, first, second, rng)
            assert all(c in pair for c, pair in zip(child, zip(first, second, strict=True), strict=True))
        child = single_point(space, (0,) * 5, (1, 1, 1, 1, 1), rng)
        assert list(child) == sorted(child)
        assert {0, 1} == set(child)  # a cut leaves something of both


def test_two_cuts_take_every_run_of_decisions_equally_often() -> None:
    space, rng = toy_space(layers=3), random.Random(2)
    runs = Counter(two_point(space, (0, 0, 0, 0), (1, 1, 1, 1), rng) for _ in range(5000))
    every = {tuple(int(low <= i < high) for i in range(4)) for low in range(5) for high in range(low + 1, 5)}
    assert runs.keys() == every
    assert chisquare(list(runs.values())).pvalue > 1e-3


def test_one_decision_changes_whichever_to_whatever_unless_a_probability_is_given() -> None:
    space, rng = toy_space(layers=2), random.Random(3)  # 2, 3 and 3 options
    parent = (1, 0, 2)
    children = Counter(exactly_one(space, parent, rng) for _ in range(6000))
    assert all(sum(a != b for a, b in zip(child, parent, strict=True)) == 1 for child in children)
    expected = {(0, 0, 2): 2000, (1, 1, 2): 1000, (1, 2, 2): 1000, (1, 0, 0): 1000, (1, 0, 1): 1000}
    assert chisquare([children[a] for a in expected], list(expected.values())).pvalue > 1e-3


@pytest.mark.parametrize("mutation", [redraw(0.2), one_on_average])
def test_so_many_decisions_change_on_average(mutation) -> None:
    space, rng = toy_space(), random.Random(1)  # 5 decisions
    parent = (3, 1, 1, 1, 1)
    changes = [sum(a != b for a, b in zip(mutation(space, parent, rng), parent, strict=True)) for _ in range(4000)]
    assert sum(changes) / len(changes) == pytest.approx(1, abs=0.05)


def breeding(parent: Architecture, excluded: set[Architecture], limits: Limits | None = None) -> Breeding:
    limits = Limits(toy_space()) if limits is None else limits
    return Breeding(limits, random.Random(0), lambda: parent, excluded, range(500), mutation=exactly_one)


def test_children_are_canonical_within_the_limits_and_not_excluded() -> None:
    space = toy_space()
    table = toy_tables(space)["flops"]
    limits = Limits(space, [Limit(table, upper=float(table.cost([(3, 1, 1, 1, 1)])[0]))])
    near = {space.canonical(a) for a in space.neighbours((3, 1, 1, 1, 1))}
    allowed = {a for a in near if limits.allows(a)}
    assert 0 < len(allowed) < len(near)
    found: set[Architecture] = set()
    one = breeding((3, 1, 1, 1, 1), found, limits)
    while (child := one.child()) is not None:
        found.add(child)
    assert found == allowed


def test_an_unchanged_child_does_not_count_if_so_asked() -> None:
    parent = (3, 1, 1, 1, 1)
    same = breeding(parent, set())
    same.mutation = None
    assert same.child() == parent
    same.changed = True
    assert same.child() is None


def test_attempts_of_an_iterator_are_shared() -> None:
    one = breeding((3, 1, 1, 1, 1), set())
    one.attempts = iter(range(3))
    assert [one.child() is None for _ in range(4)] == [False, False, False, True]


def test_random_architectures_take_the_places_of_missing_children_until_the_space_is_exhausted() -> None:
    space = toy_space(layers=2)
    visited: set[Architecture] = {(0, 0, 0)}
    bred = iter([(1, 1, 1), None])
    made = bred_or_drawn(Limits(space), random.Random(0), 100, visited, visited, lambda: next(bred, None))
    assert made[0] == (1, 1, 1)
    assert len(made) == len(set(made)) == space.num_canonical - 1
    assert visited == {*made, (0, 0, 0)}
