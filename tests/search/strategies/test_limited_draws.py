"""Draws given limits: exactly the distribution restricted to them, and found however improbable they are."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from lookup_tables import build_table
from search.strategies.limited_draws import LimitedDraws
from supernet import Architecture, build_space
from supernet.elimination import Factor
from supernet.label_setting import Bound


def within(limits: list[Bound], architecture: Architecture) -> bool:
    costs = [sum(float(t[tuple(architecture[d] for d in scope)]) for scope, t in limit.factors) for limit in limits]
    return all(cost <= limit.upper for cost, limit in zip(costs, limits, strict=True))


def chain(rng: np.random.Generator, decisions: int, options: int) -> list[Factor]:
    tables: list[Factor] = [((d,), rng.integers(1, 50, options).astype(float)) for d in range(decisions)]
    return [((), np.array(7.0)), *tables]


def log_probabilities(rng: np.random.Generator, sizes: list[int]) -> list[np.ndarray]:
    return [np.log(rng.dirichlet(np.full(size, 2.0))) for size in sizes]


def accepted(draws: LimitedDraws, count: int, rng: np.random.Generator) -> tuple[list[Architecture], int]:
    found: list[Architecture] = []
    tries = 0
    while len(found) < count:
        tries += 1
        drawn = draws(rng)
        if drawn is not None:
            found.append(drawn)
    return found, tries


@pytest.mark.parametrize("costs", [1, 2])
@pytest.mark.parametrize("band", [False, True])
def test_what_is_accepted_is_the_distribution_given_the_limits(costs: int, band: bool) -> None:
    rng = np.random.default_rng(costs)
    sizes = [4] * 5
    rows = log_probabilities(rng, sizes)
    every = [tuple(map(int, a)) for a in np.ndindex(*sizes)]
    limits = []
    for number in range(costs):
        factors = chain(rng, 5, 4)
        values = np.sort([sum(float(t[tuple(a[d] for d in scope)]) for scope, t in factors) for a in every])
        limits.append(Bound(f"cost {number}", factors, float(values[len(values) // (25 if costs == 1 else 6)])))
        if band:
            negated = [(scope, -table) for scope, table in factors]
            limits.append(Bound(f"-cost {number}", negated, -float(values[len(values) // 60])))
    allowed = [a for a in every if within(limits, a)]
    assert 5 < len(allowed) < 100
    weights = np.exp([sum(row[option] for row, option in zip(rows, a, strict=True)) for a in allowed])
    found, tries = accepted(LimitedDraws(rows, limits), 4000, rng)
    counts = Counter(found)
    assert set(counts) <= set(allowed)
    expected = 4000 * weights / weights.sum()
    common = expected >= 5  # where the test's approximation holds; the others are one class
    observed = np.array([counts[a] for a in allowed])
    pooled = [np.append(part[common], part[~common].sum() + 1e-9) for part in (observed.astype(float), expected)]
    assert chisquare(*pooled).pvalue > 1e-3
    assert 4000 / tries > weights.sum()  # more than plain rejection accepts
    assert 4000 / tries > 0.02


def test_one_in_many_millions_is_found() -> None:
    space = build_space("proxylessnas", resolution=32, num_classes=10)
    table = build_table(space, "flops", 32)
    low = table.minimum()[0]
    rows = [np.log(np.full(size, 1 / size)) for size in space.sizes]
    limit = Bound("flops", table.factors, 1.1 * low)
    assert table.distribution.share(low, limit.upper) < 1e-8
    found, tries = accepted(LimitedDraws(rows, [limit]), 50, np.random.default_rng(0))
    assert tries < 50 * 100
    assert (table.cost(np.array(found)) <= limit.upper).all()


def test_a_limit_that_all_keep_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    rows = log_probabilities(rng, [3, 3])
    draws = LimitedDraws(rows, [Bound("cost", chain(rng, 2, 3), 1e6)])
    assert accepted(draws, 300, rng)[1] == 300


def test_costs_over_several_decisions_are_rejected_plainly() -> None:
    rng = np.random.default_rng(4)
    rows = log_probabilities(rng, [3, 3])
    limit = Bound("cost", [((0, 1), np.arange(9.0).reshape(3, 3))], 3.0)
    found, _ = accepted(LimitedDraws(rows, [limit]), 300, rng)
    assert set(found) == {(0, 0), (0, 1), (0, 2), (1, 0)}
