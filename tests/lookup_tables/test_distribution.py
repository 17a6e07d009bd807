"""Counting architectures by cost, and drawing them from a band: against enumeration."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from config_file.errors import UserError
from lookup_tables import CostTable, build_table
from lookup_tables.distribution import CostDistribution
from supernet import build_space
from supernet.elimination import Factor
from tests.lookup_tables.small_spaces import small_space

CHAIN: list[Factor] = [
    ((), np.array(3.0)),
    ((0,), np.array([0.0, 1, 4])),
    ((1,), np.array([2.0, 2])),
    ((2,), np.arange(5.0)),
]


def general_factors(seed: int, whole: bool = False) -> tuple[tuple[int, ...], list[Factor]]:
    """Overlapping scopes, one decision that nothing reads, options of equal cost."""
    rng = np.random.default_rng(seed)
    sizes = (3, 4, 2, 5, 3, 2)
    scopes = [(), (0,), (0, 2), (3, 1), (1, 2, 4), (4,)]
    tables = [rng.integers(0, 12, [sizes[d] for d in scope]).astype(float) for scope in scopes]
    if not whole:
        tables = [table + rng.random(table.shape) for table in tables]
    return sizes, list(zip(scopes, tables, strict=True))


def evaluate(factors: list[Factor], architectures: NDArray[np.integer]) -> NDArray[np.float64]:
    rows = np.asarray(architectures).astype(int)
    total = np.zeros(len(rows))
    for scope, table in factors:
        total += table[tuple(rows[:, d] for d in scope)]
    return total


def every(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1)


def distribution(sizes: tuple[int, ...], factors: list[Factor], bins: int = 1 << 14) -> CostDistribution:
    return CostDistribution(sizes, factors, lambda rows: evaluate(factors, rows), bins)


@pytest.mark.parametrize("seed", range(3))
def test_whole_numbered_costs_are_counted_exactly(seed: int) -> None:
    sizes, factors = general_factors(seed, whole=True)
    found = distribution(sizes, factors)
    values, counts = np.unique(evaluate(factors, every(sizes)), return_counts=True)
    some = found.counts > 0
    assert np.array_equal(found.costs[some], values)
    assert np.array_equal(found.counts[some], counts)
    low, high = values[len(values) // 3], values[len(values) // 2]
    inside = counts[(values >= low) & (values <= high)].sum()
    assert found.count(low, high) == (inside, inside)
    assert found.share(low, high) == inside / counts.sum()
    assert found.rounding == (0, 0)


def test_a_common_divisor_makes_bins_exact() -> None:
    factors = [(scope, table * 1_000_000) for scope, table in CHAIN]
    found = distribution((3, 2, 5), factors, bins=256)
    assert found.unit == 1_000_000
    assert found.rounding == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_rounded_counts_enclose_the_true_ones(seed: int) -> None:
    sizes, factors = general_factors(seed)
    found = distribution(sizes, factors, bins=256)
    costs = evaluate(factors, every(sizes))
    assert found.counts.sum() == len(costs)
    for low, high in np.sort(np.random.default_rng(seed).uniform(costs.min(), costs.max(), (20, 2)), 1):
        least, most = found.count(low, high)
        assert least <= ((costs >= low) & (costs <= high)).sum() <= most
    middle = found.quantile(0.5)
    assert abs((costs <= middle).mean() - 0.5) < 0.05
    band = np.quantile(costs, [0.2, 0.3])
    assert found.share(*band) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("seed", "bins"), [(0, 256), (1, 256), (2, 1 << 14)])
def test_draws_from_a_band_are_uniform(seed: int, bins: int) -> None:
    """Chi-square over every architecture of the band, on factors that overlap; 256 bins leave much to reject."""
    sizes, factors = general_factors(seed)
    architectures = every(sizes)
    costs = evaluate(factors, architectures)
    low, high = np.quantile(costs, [0.10, 0.25])
    inside = architectures[(costs >= low) & (costs <= high)]
    drawn = distribution(sizes, factors, bins).sample(low, high, 40 * len(inside), np.random.default_rng(seed))
    codes = np.ravel_multi_index(tuple(drawn.astype(int).T), sizes)
    expected = np.ravel_multi_index(tuple(inside.T), sizes)
    assert set(codes) <= set(expected)
    counts = np.bincount(codes, minlength=len(architectures))[expected]
    assert chisquare(counts).pvalue > 1e-3


def test_a_sampler_that_is_slightly_wrong_fails_that_test() -> None:
    rng = np.random.default_rng(0)
    weights = np.where(np.arange(200) < 100, 1.1, 0.9) / 200
    counts = np.bincount(rng.choice(200, 40 * 200, p=weights), minlength=200)
    assert chisquare(counts).pvalue < 1e-3


@cache
def proxylessnas() -> CostTable:
    return build_table(build_space("proxylessnas"))


@pytest.mark.parametrize("share", [0.5, 1e-3, 1e-9])
def test_large_space_at_any_tightness(share: float) -> None:
    table = proxylessnas()
    high = table.distribution.quantile(share)
    drawn = table.distribution.sample(high - 1e6, high, 3000, np.random.default_rng(0))
    costs = table.cost(drawn)
    assert costs.min() >= high - 1e6
    assert costs.max() <= high
    assert len(np.unique(drawn, axis=0)) == 3000
    assert table.distribution.share(-np.inf, high) == pytest.approx(share, rel=0.1)


def test_both_ends_of_the_space_can_be_drawn() -> None:
    table = proxylessnas()
    for value, architecture in (table.minimum(), table.maximum()):
        drawn = table.distribution.sample(value, value, 3, np.random.default_rng(0))
        assert (table.cost(drawn) == value).all()
        assert tuple(drawn[0]) == architecture


def test_a_space_whose_width_is_a_choice() -> None:
    space = small_space("mobilenetv2")
    table = build_table(space)
    low, high = table.distribution.quantile(0.01), table.distribution.quantile(0.05)
    costs = table.cost(table.distribution.sample(low, high, 500, np.random.default_rng(0)))
    assert costs.min() >= low
    assert costs.max() <= high
    assert table.distribution.counts.sum() == pytest.approx(space.size)


def test_an_empty_band_is_an_error_after_a_bounded_search() -> None:
    found = distribution((3, 2, 5), CHAIN)
    with pytest.raises(UserError, match="no architecture with a cost from 100 to 200"):
        found.sample(100, 200, 1, np.random.default_rng(0))
    rough = distribution((3, 2, 5), [*CHAIN, ((1,), np.array([0.0, 0.5]))], bins=256)
    with pytest.raises(UserError, match="no architecture"):
        rough.sample(5.2, 5.3, 1, np.random.default_rng(0))


def test_equal_costs_everywhere() -> None:
    found = distribution((2, 3), [((0,), np.array([5.0, 5.0]))])
    assert np.array_equal(found.costs, [5.0])
    assert found.counts == [6]
    drawn = found.sample(5, 5, 600, np.random.default_rng(0))
    codes = drawn[:, 0].astype(int) * 3 + drawn[:, 1]
    assert chisquare(np.bincount(codes, minlength=6)).pvalue > 1e-3


def test_what_does_not_fit_into_memory_is_refused() -> None:
    sizes = (7,) * 9
    factors: list[Factor] = [(tuple(range(9)), np.broadcast_to(np.zeros(1), sizes))]
    with pytest.raises(UserError, match="depend on each other"):
        CostDistribution(sizes, factors, lambda rows: np.zeros(len(rows)))


@settings(max_examples=30, deadline=None)
@given(
    tables=st.lists(st.lists(st.floats(0, 1e6), min_size=1, max_size=4), min_size=1, max_size=5),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_whatever_is_drawn_is_within_the_band(tables: list[list[float]], ends: tuple[float, float]) -> None:
    sizes = tuple(map(len, tables))
    factors: list[Factor] = [((d,), np.array(table)) for d, table in enumerate(tables)]
    costs = evaluate(factors, every(sizes))
    low, high = (costs.min() + end * (costs.max() - costs.min()) for end in sorted(ends))
    inside = ((costs >= low) & (costs <= high)).sum()
    found = distribution(sizes, factors, bins=256)
    least, most = found.count(low, high)
    assert least <= inside <= most
    if inside:
        drawn = evaluate(factors, found.sample(low, high, 20, np.random.default_rng(0)))
        assert drawn.min() >= low
        assert drawn.max() <= high
