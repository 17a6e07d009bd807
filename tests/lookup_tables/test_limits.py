from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import chisquare

from config_file.errors import UserError
from lookup_tables import CostTable, Entry
from lookup_tables.limits import ENUMERABLE, Limit, Limits
from search.testing.toy import toy_space, toy_tables
from supernet import SearchSpace, build_space


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return toy_space()


@pytest.fixture(scope="module")
def table(space: SearchSpace) -> CostTable:
    return toy_tables(space)["flops"]


def test_an_infeasible_target_states_both_exact_ends(space: SearchSpace, table: CostTable) -> None:
    low, high = int(table.minimum()[0]), int(table.maximum()[0])
    with pytest.raises(UserError) as error:
        Limits(space, [Limit(table, upper=low - 1)]).check()
    assert f"{low:,}" in str(error.value)
    assert f"{high:,}" in str(error.value)
    assert "--target-hc" in str(error.value)
    Limits(space, [Limit(table, upper=low)]).check()
    with pytest.raises(UserError, match=f"--min-hc.*{high:,}"):
        Limits(space, [Limit(table, lower=high + 1)]).check()
    with pytest.raises(UserError, match="above"):
        Limits(space, [Limit(table, upper=low + 1, lower=low + 2)]).check()


def test_a_target_that_is_no_number_is_refused(space: SearchSpace, table: CostTable) -> None:
    with pytest.raises(UserError, match="must be numbers"):
        Limits(space, [Limit(table, upper=float("nan"))]).check()


def test_a_band_between_two_neighbouring_costs_is_empty(space: SearchSpace, table: CostTable) -> None:
    costs = np.unique(table.cost(np.array(list(space.enumerate()))))
    gap = Limits(space, [Limit(table, lower=costs[3] + 1, upper=costs[4] - 1)])
    assert gap.acceptance == 0
    assert gap.sample(random.Random(0)) is None
    with pytest.raises(UserError) as error:
        gap.check()
    assert re.fullmatch(
        rf"--min-hc, --target-hc: no architecture of {space.name} has flops from {costs[3] + 1:,.0f} \(.*\) to "
        rf"{costs[4] - 1:,.0f} \(.*\); the nearest have {costs[3]:,.0f} \(.*\) and {costs[4]:,.0f} \(.*\)",
        str(error.value),
    )
    Limits(space, [Limit(table, lower=costs[3], upper=costs[4] - 1)]).check()


def test_a_gap_of_a_large_space_names_the_nearest_costs() -> None:
    """A chain whose cost is the number of layers kept: every band between two whole numbers is empty."""
    space = build_space("proxylessnas", resolution=32, num_classes=10, skip="identity")
    zero = toy_tables(space)["flops"]
    entries = {key: Entry(1e6, 1e6) if key[0].label == "k3e3" else Entry(0, 0) for key in zero.entries}
    table = replace(zero, entries=entries)
    assert space.size > ENUMERABLE
    with pytest.raises(UserError, match=r"from 4,500,000 \(4.5 M\) to .*the nearest have 4,000,000 .* and 5,000,000 "):
        Limits(space, [Limit(table, lower=4.5e6, upper=4.6e6)]).check()
    uneven = replace(table, scale=math.pi, offset=1 / 3)  # rounded: nothing is a whole number of bins
    with pytest.raises(UserError, match=r"the nearest have 12,566,371 .* and 15,707,964 "):
        Limits(space, [Limit(uneven, lower=13e6, upper=15e6)]).check()


def test_every_encoding_in_the_band_is_as_likely(space: SearchSpace, table: CostTable) -> None:
    low, high = table.minimum()[0], table.maximum()[0]
    band = Limits(space, [Limit(table, lower=low + 0.1 * (high - low), upper=low + 0.4 * (high - low))])
    inside = [architecture for architecture in space.enumerate() if band.allows(architecture)]
    assert band.acceptance == len(inside) / space.size
    rng, draws = random.Random(1), 4000
    counts = Counter(band.sample(rng) for _ in range(draws))
    expected = Counter(space.canonical(architecture) for architecture in inside)
    assert set(counts) <= set(expected)
    share = [draws * expected[architecture] / len(inside) for architecture in expected]
    assert chisquare([counts[architecture] for architecture in expected], share).pvalue > 1e-3


def test_what_is_excluded_does_not_come_again(space: SearchSpace, table: CostTable) -> None:
    band = Limits(space, [Limit(table, upper=0.5 * (table.minimum()[0] + table.maximum()[0]))])
    rng, seen = random.Random(0), set()
    while (architecture := band.sample(rng, seen)) is not None:
        assert architecture not in seen
        seen.add(architecture)
    assert seen == {space.canonical(a) for a in space.enumerate() if band.allows(a)}


@pytest.mark.parametrize("percentile", [50, 1, 0.01])
def test_large_space_at_any_tightness(percentile: float) -> None:
    """21 layers x 7: from half of the space down to bands that random draws practically never meet."""
    space = build_space("proxylessnas", resolution=32, num_classes=10)
    table = toy_tables(space)["flops"]
    rng = np.random.default_rng(0)
    costs = table.cost(rng.integers(0, space.sizes, (100_000, len(space.sizes))))
    upper = float(np.percentile(costs, percentile))
    for lower in (-np.inf, upper - 0.05e6):
        band = Limits(space, [Limit(table, upper=upper, lower=lower)])
        draw = random.Random(0)
        drawn = [band.sample(draw) for _ in range(5)]
        assert all(a is not None and band.allows(a) for a in drawn)
        assert len(set(drawn)) == 5


def test_the_cheapest_architecture_alone_is_found_in_a_large_space() -> None:
    space = build_space("proxylessnas", resolution=32, num_classes=10)
    table = toy_tables(space)["flops"]
    cheapest, architecture = table.minimum()
    only = Limits(space, [Limit(table, upper=cheapest)])
    found = only.sample(random.Random(0))
    assert found is not None
    assert table.cost(np.array([found]))[0] == cheapest
    assert only.sample(random.Random(0), {space.canonical(architecture), found}) is None


def test_limits_of_several_costs_hold_together() -> None:
    space = toy_space()
    tables = toy_tables(space)
    costs = {name: table.cost(np.array(list(space.enumerate()))) for name, table in tables.items()}
    params = Limit(tables["params"], upper=float(np.median(costs["params"])))
    flops = Limit(tables["flops"], lower=float(np.median(costs["flops"])))
    both = Limits(space, [flops, params])
    every = list(space.enumerate())
    inside = [a for a in every if Limits(space, [params]).allows(a) and Limits(space, [flops]).allows(a)]
    assert 0 < len(inside) < len(every)
    assert [a for a in every if both.allows(a)] == inside
    assert both.acceptance == len(inside) / len(every)
    rng = random.Random(0)
    drawn = both.sample_distinct(rng, 1000)
    assert set(drawn) == {space.canonical(a) for a in inside}
    assert len(both.describe()) == 2
    both.check()
    nothing = Limits(space, [Limit(tables["flops"], lower=tables["flops"].maximum()[0]), params])
    with pytest.raises(UserError, match="all limits at once"):
        nothing.check()


def test_limits_of_several_costs_in_a_large_space() -> None:
    space = build_space("proxylessnas", resolution=32, num_classes=10)
    tables = toy_tables(space)
    rng = np.random.default_rng(0)
    some = rng.integers(0, space.sizes, (20_000, len(space.sizes)))
    flops, params = (tables[name].cost(some) for name in ("flops", "params"))
    low, high, most = (float(np.quantile(*ends)) for ends in ((flops, 0.01), (flops, 0.02), (params, 0.3)))
    both = Limits(space, [Limit(tables["flops"], lower=low, upper=high), Limit(tables["params"], upper=most)])
    both.check()
    share = float(((flops >= low) & (flops <= high) & (params <= most)).mean())
    assert both.acceptance == pytest.approx(share, rel=0.25)  # the sample has about 180 of them
    drawn = both.draw(random.Random(0), 50)
    assert len(set(drawn)) == 50
    assert all(map(both.allows, drawn))


def test_upper_limits_that_exclude_each_other_are_told_exactly() -> None:
    space = build_space("proxylessnas", resolution=32, num_classes=10)
    tables = toy_tables(space)
    cheapest = tables["params"].minimum()[1]
    assert cheapest == tables["flops"].minimum()[1]  # so that each alone can be met, and both at once
    both = Limits(
        space,
        [
            Limit(tables["flops"], upper=tables["flops"].minimum()[0]),
            Limit(tables["params"], upper=tables["params"].minimum()[0]),
        ],
    )
    both.check()
    assert both.draw(random.Random(0), 1) == [space.canonical(cheapest)]


def test_limits_in_words(space: SearchSpace, table: CostTable) -> None:
    band = Limits(space, [Limit(table, lower=1e6, upper=2e6), Limit(table, lower=1e6), Limit(table, upper=2e6)])
    most, least = "at most 2,000,000 (2 M)", "at least 1,000,000 (1 M)"
    assert band.describe() == [f"flops of {most} and {least}", f"flops of {least}", f"flops of {most}"]
    assert Limits(space, [Limit(table)]).describe() == []


def test_without_a_table_everything_is_allowed(space: SearchSpace) -> None:
    free = Limits(space)
    free.check()
    assert free.acceptance == 1
    assert free.allows(space.sample(random.Random(0)))


class _Even(SearchSpace):
    """Half of the toy space: encodings whose indices have an even sum."""

    def allows(self, architecture: Sequence[int]) -> bool:
        return sum(architecture) % 2 == 0


def test_what_the_space_does_not_allow_is_never_drawn(space: SearchSpace, table: CostTable) -> None:
    even = _Even(space.name, space.decisions, space.sites, space.input_shape)
    allowed = [architecture for architecture in product(*map(range, space.sizes)) if sum(architecture) % 2 == 0]
    assert list(even.enumerate()) == allowed
    low, high = np.quantile(table.cost(allowed), [0.3, 0.6])
    within = {a for a, cost in zip(allowed, table.cost(allowed), strict=True) if low <= cost <= high}
    for limits, among in ((Limits(even), set(allowed)), (Limits(even, [Limit(table, lower=low, upper=high)]), within)):
        drawn = Counter(limits.draw(random.Random(0), 20 * len(among)))
        assert {even.canonical(architecture) for architecture in among} == drawn.keys()
        assert not limits.allows(space.parse([1] + [0] * (len(space.sizes) - 1)))
    with pytest.raises(UserError, match="does not allow the architecture 1 0 0"):
        even.parse([1] + [0] * (len(space.sizes) - 1))
    nothing = type("Nothing", (_Even,), {"allows": lambda self, architecture: False})
    with pytest.raises(UserError, match="allows none"):
        nothing(space.name, space.decisions, space.sites, space.input_shape).sample(random.Random(0))
