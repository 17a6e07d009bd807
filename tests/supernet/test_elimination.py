"""Variable elimination against brute force, on random factors."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.elimination import count, optimum


@st.composite
def problems(draw: st.DrawFn):
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    scopes = draw(st.lists(st.lists(st.integers(0, len(sizes) - 1), max_size=3, unique=True).map(tuple), max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return sizes, [(scope, rng.integers(-9, 10, [sizes[d] for d in scope]).astype(float)) for scope in scopes]


def total(factors, architecture) -> float:
    return sum(table[tuple(architecture[d] for d in scope)] for scope, table in factors)


@given(problem=problems(), largest=st.booleans())
@settings(max_examples=200)
def test_optimum_is_that_of_the_enumeration(problem, largest):
    sizes, factors = problem
    values = [total(factors, a) for a in product(*map(range, sizes))]
    value, architecture = optimum(sizes, factors, largest)
    assert value == (max if largest else min)(values)
    assert total(factors, architecture) == value
    assert all(0 <= option < size for option, size in zip(architecture, sizes, strict=True))


@given(problem=problems())
@settings(max_examples=200)
def test_count_is_that_of_the_enumeration(problem):
    sizes, factors = problem
    factors = [(scope, table > 0) for scope, table in factors]
    expected = sum(
        all(table[tuple(a[d] for d in scope)] for scope, table in factors) for a in product(*map(range, sizes))
    )
    assert count(sizes, factors) == expected


def test_counts_are_exact_beyond_64_bits():
    assert count([9] * 40, []) == 9**40
    pairs = [((d, d + 1), ~np.eye(9, dtype=bool)) for d in range(39)]
    assert count([9] * 40, pairs) == 9 * 8**39


def test_a_long_chain_takes_no_time():
    rng = np.random.default_rng(0)
    factors = [((d, d + 1), rng.random((7, 7))) for d in range(300)]
    value, architecture = optimum([7] * 301, factors, largest=False)
    assert value == pytest.approx(total(factors, architecture))
