"""Constrained derivation against brute force, and its answers where nothing fits."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pytest

from config_file.errors import UserError
from supernet import build_space
from supernet.derivation import check_feasible, derive_filling, derive_within, independent
from supernet.elimination import Factor
from supernet.label_setting import Bound


def chain(rng: np.random.Generator, sizes: list[int]) -> list[Factor]:
    return [((), np.array(3.0)), *(((d,), rng.random(n) * 10) for d, n in enumerate(sizes))]


def total(factors: list[Factor], choice: tuple[int, ...]) -> float:
    return float(sum(table[tuple(choice[d] for d in scope)] for scope, table in factors))


@pytest.mark.parametrize("constraints", [1, 2, 3])
@pytest.mark.parametrize("coupled", [False, True])
def test_it_is_the_best_of_all_by_brute_force(constraints: int, coupled: bool) -> None:
    rng = np.random.default_rng(constraints + 10 * coupled)
    for _ in range(5):
        sizes = list(rng.integers(2, 5, 6))
        scores = [np.log(rng.dirichlet(np.ones(n))) for n in sizes]
        costs = [chain(rng, sizes) for _ in range(constraints)]
        if coupled:  # costs that depend on two and three decisions, as where widths are chosen
            for factors in costs:
                factors += [((d + 1, d), rng.random((sizes[d + 1], sizes[d])) * 5) for d in range(5)]
                factors.append(((0, 2, 5), rng.random((sizes[0], sizes[2], sizes[5])) * 5))
        every = list(product(*map(range, sizes)))
        limits = []
        for number, factors in enumerate(costs):
            found = np.array([total(factors, choice) for choice in every])
            limits.append(Bound(f"cost{number}", factors, float(np.quantile(found, rng.uniform(0.1, 0.6)))))
        allowed = [c for c in every if all(total(limit.factors, c) <= limit.upper for limit in limits)]
        if not allowed:
            with pytest.raises(UserError):
                derive_within(sizes, independent(scores), limits)
            continue
        best = max(sum(row[o] for row, o in zip(scores, c, strict=True)) for c in allowed)
        choice = derive_within(sizes, independent(scores), limits)
        assert choice in allowed
        assert sum(row[o] for row, o in zip(scores, choice, strict=True)) == pytest.approx(best, abs=1e-9)


def test_a_limit_is_inclusive() -> None:
    table: list[Factor] = [((0,), np.array([1.0, 2.0, 3.0]))]
    scores = [np.array([0.0, 1.0, 2.0])]
    assert derive_within([3], independent(scores), [Bound("cost", table, 3.0)]) == (2,)
    assert derive_within([3], independent(scores), [Bound("cost", table, 2.0)]) == (1,)


def test_without_limits_it_is_the_most_probable() -> None:
    scores = [np.array([0.1, 0.9]), np.array([0.5, 0.2, 0.3])]
    assert derive_within([2, 3], independent(scores), []) == (1, 0)


@pytest.mark.parametrize("constraints", [1, 2])
def test_a_space_of_21_layers_takes_moments(constraints: int) -> None:
    rng = np.random.default_rng(0)
    sizes = [7] * 21
    scores = [np.log(rng.dirichlet(np.ones(7))) for _ in sizes]
    limits = []
    for number in range(constraints):
        factors = chain(rng, sizes)
        unlimited = total(factors, tuple(int(row.argmax()) for row in scores))
        limits.append(Bound(f"cost{number}", factors, 0.8 * unlimited))
    start = time.perf_counter()
    choice = derive_within(sizes, independent(scores), limits)
    assert time.perf_counter() - start < 10
    for limit in limits:
        assert 0.9 * limit.upper < total(list(limit.factors), choice) <= limit.upper


def test_several_costs_of_a_real_space() -> None:
    space = build_space("mobilenetv2", resolution=16, num_classes=4)
    rng = np.random.default_rng(0)
    scores = [rng.random(size) for size in space.sizes]
    blocks = space.factors()
    limits = []
    for name in ("macs", "params"):
        factors: list[Factor] = []
        for scope, table in blocks:
            values = [0 if entry is None else getattr(entry[0], name)(entry[1]) for entry in table.flat]
            factors.append((scope, np.array(values, dtype=np.float64).reshape(table.shape)))
        limits.append(Bound(name, factors, 0.0))
    specs = {a: space.decode(a) for a in [tuple([0] * 14), tuple(size - 1 for size in space.sizes)]}
    low, high = specs.values()
    uppers = [
        0.6 * low.macs(space.input_shape) + 0.4 * high.macs(space.input_shape),
        0.7 * low.params(space.input_shape) + 0.3 * high.params(space.input_shape),
    ]
    limits = [limit._replace(upper=upper) for limit, upper in zip(limits, uppers, strict=True)]
    spec = space.decode(derive_within(space.sizes, independent(scores), limits))
    assert spec.macs(space.input_shape) <= uppers[0]
    assert spec.params(space.input_shape) <= uppers[1]


def test_an_infeasible_limit_states_the_exact_minimum() -> None:
    table: list[Factor] = [((0,), np.array([4.0, 5.0])), ((1,), np.array([1.5, 9.0]))]
    with pytest.raises(UserError, match=r"no architecture has ms of 5 or less: the smallest of the space is 5\.5"):
        check_feasible([2, 2], [Bound("ms", table, 5.0)])
    with pytest.raises(UserError, match="the smallest of the space"):
        derive_within([2, 2], independent([np.zeros(2)] * 2), [Bound("ms", table, float("nan"))])


def test_limits_that_exclude_each_other_say_which_binds() -> None:
    a: list[Factor] = [((0,), np.array([1.0, 10.0])), ((1,), np.array([1.0, 2.0]))]
    b: list[Factor] = [((0,), np.array([10.0, 1.0])), ((1,), np.array([3.0, 3.0]))]
    limits = [Bound("flops", a, 5.0), Bound("latency", b, 5.0)]
    with pytest.raises(UserError) as error:
        derive_within([2, 2], independent([np.zeros(2)] * 2), limits)
    text = str(error.value)
    assert "no architecture has flops <= 5 and latency <= 5 at once" in text
    assert "with latency <= 5 the smallest flops is 11" in text
    assert "with flops <= 5 the smallest latency is 13" in text
    assert "\n" not in text


def test_filling_uses_the_limit_and_never_exceeds_it() -> None:
    rng = np.random.default_rng(3)
    sizes = [5] * 12
    factors = chain(rng, sizes)
    scores = [np.log(rng.dirichlet(np.ones(5) * 100)) - 0.05 * table for (_, table) in factors[1:]]  # cheap ones win
    for share in (0.5, 0.7, 0.9):
        limit = Bound("cost", factors, share * sum(float(table.max()) for _, table in factors))
        plain, filled = (
            derive_within(sizes, independent(scores), [limit]),
            derive_filling(sizes, independent(scores), [limit]),
        )
        assert total(factors, plain) < 0.9 * limit.upper
        assert 0.98 * limit.upper <= total(factors, filled) <= limit.upper
    unlimited = Bound("cost", factors, 1e9)
    assert derive_filling(sizes, independent(scores), [unlimited]) == derive_within(sizes, independent(scores), [])
