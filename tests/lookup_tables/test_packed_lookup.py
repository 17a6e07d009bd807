"""The fast sum of factors against the plain one, for any sizes, scopes, layouts and integer types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from config_file.errors import UserError
from lookup_tables import packed_lookup
from lookup_tables.packed_lookup import PackedLookup
from supernet import Decision
from supernet.elimination import Factor


def decisions(sizes: list[int]) -> list[Decision]:
    return [Decision(f"d{number}", tuple(map(str, range(size)))) for number, size in enumerate(sizes)]


def plain(factors: list[Factor], architectures: NDArray) -> NDArray[np.float64]:
    return np.array([sum(t[tuple(a[d] for d in scope)] for scope, t in factors) for a in architectures.tolist()])


def random_factors(sizes: list[int], count: int, widest: int, rng: np.random.Generator) -> list[Factor]:
    factors: list[Factor] = [((), np.array(float(rng.integers(100))))]
    for _ in range(count):
        scope = tuple(int(d) for d in rng.permutation(len(sizes))[: rng.integers(1, widest + 1)])
        factors.append((scope, rng.integers(0, 1 << 30, [sizes[d] for d in scope]).astype(float)))
    return factors


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=7),
    count=st.integers(0, 8),
    rows=st.integers(1, 70),
    entries=st.sampled_from([1, 8, 64, 1 << 15]),
    seed=st.integers(0, 1000),
)
def test_any_factors(sizes: list[int], count: int, rows: int, entries: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    factors = random_factors(sizes, count, min(3, len(sizes)), rng)
    architectures = rng.integers(0, sizes, (rows, len(sizes)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_lookup, "MOST_ENTRIES", entries)
        patch.setattr(packed_lookup, "CHUNK", 32)
        costs = PackedLookup(decisions(sizes), factors)(architectures)
    assert costs.dtype == np.float64
    assert costs.tolist() == plain(factors, architectures).tolist()


SIZES = [7] * 9 + [3, 11, 2]


@pytest.fixture(scope="module")
def table() -> tuple[PackedLookup, list[Factor], NDArray]:
    rng = np.random.default_rng(1)
    factors = [((d,), rng.integers(0, 1 << 40, size).astype(float)) for d, size in enumerate(SIZES)]
    return PackedLookup(decisions(SIZES), factors), factors, rng.integers(0, SIZES, (5000, len(SIZES)))


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i2", "u2", "i4", "u4", "i8", ">i8", "u8"])
@pytest.mark.parametrize("layout", ["C", "F", "every second row", "backwards", "columns of a wider one", "transposed"])
def test_any_layout_and_integer_type(
    table: tuple[PackedLookup, list[Factor], NDArray], dtype: str, layout: str
) -> None:
    lookup, factors, architectures = table
    array = architectures.astype(dtype)
    if layout == "every second row":
        array, architectures = array[::2], architectures[::2]
    elif layout == "backwards":
        array, architectures = array[::-1], architectures[::-1]
    elif layout == "columns of a wider one":
        array = np.repeat(array, 2, axis=1)[:, ::2]
    elif layout == "transposed":
        array = np.ascontiguousarray(array.T).T
    else:
        array = np.asarray(array, order=layout)  # type: ignore[call-overload]
    expected = sum(values[architectures[:, scope[0]]] for scope, values in factors)
    assert np.array_equal(lookup(array), expected)


def test_measured_values_add_up_to_rounding() -> None:
    rng = np.random.default_rng(2)
    factors = [((), np.array(0.37)), *(((d,), rng.gamma(2.0, size=7)) for d in range(21))]
    architectures = rng.integers(0, 7, (500, 21))
    costs = PackedLookup(decisions([7] * 21), factors)(architectures)
    # The terms are added up in another order: 21 additions of positive numbers, each within 2^-53 of its sum.
    np.testing.assert_allclose(costs, plain(factors, architectures), rtol=21 * 2**-52, atol=0)


def test_few_and_balanced_tables() -> None:
    factors = [((d,), np.zeros(9)) for d in range(22)]
    tables = [packed[1].size for packed in PackedLookup(decisions([9] * 22), factors)._tables]
    assert len(tables) == 6
    assert max(tables) <= packed_lookup.MOST_ENTRIES
    shared = [((0, 1), np.zeros((2, 4))), ((0, 2), np.zeros((2, 2))), ((2, 3), np.zeros((2, 4)))]
    assert [packed[1].size for packed in PackedLookup(decisions([2, 4, 2, 4]), shared)._tables] == [64]


def test_more_options_than_a_byte_holds() -> None:
    values = np.arange(300.0)
    lookup = PackedLookup(decisions([300, 2]), [((0,), values), ((1,), np.array([0.0, 1000.0]))])
    assert lookup(np.array([[299, 1], [0, 0]])).tolist() == [1299.0, 0.0]
    with pytest.raises(UserError, match=r"architecture 0, entry 0 \(d0\): index 300 is not in 0..299"):
        lookup(np.array([[300, 0]]))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("wrong", [-1, -7, 3, 127, 256, 1 << 40, -(1 << 63)])
@pytest.mark.parametrize("row", [0, 4999])
def test_an_index_without_an_option_is_refused(
    table: tuple[PackedLookup, list[Factor], NDArray], order: str, wrong: int, row: int
) -> None:
    lookup, _, architectures = table
    array = np.array(architectures, order=order)  # type: ignore[call-overload]
    array[row, 9] = wrong
    with pytest.raises(UserError, match=rf"^architecture {row}, entry 9 \(d9\): index {wrong} is not in 0..2$"):
        lookup(array)


def test_what_is_no_array_of_architectures(table: tuple[PackedLookup, list[Factor], NDArray]) -> None:
    lookup = table[0]
    for wrong, message in (
        (np.zeros(12, int), r"an array \(N, 12\), one index per decision, not 12"),
        (np.zeros((5, 11), int), "not 5x11"),
        (np.zeros((5, 0), int), "not 5x0"),
        (np.zeros((1, 2, 12), int), "not 1x2x12"),
        (np.zeros((), int), "not a single number"),
        (np.zeros((2, 12)), "integers, one index per decision, not float64"),
        (np.zeros((2, 12), bool), "not bool"),
    ):
        with pytest.raises(UserError, match=message):
            lookup(wrong)


def test_no_architectures_and_no_decisions(table: tuple[PackedLookup, list[Factor], NDArray]) -> None:
    assert table[0](np.zeros((0, 12), int)).shape == table[0](np.array([])).shape == (0,)
    nothing = PackedLookup([], [((), np.array(5.0))])
    assert nothing(np.zeros((3, 0), int)).tolist() == [5.0, 5.0, 5.0]
    fixed = PackedLookup(decisions([2]), [((), np.array(5.0))])
    assert fixed(np.array([[1], [0]])).tolist() == [5.0, 5.0]
    with pytest.raises(UserError, match="index 2"):
        fixed(np.array([[2]]))
