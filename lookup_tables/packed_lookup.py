"""Sums of factors for many architectures at once, on the fast way: few large tables instead of many small ones.

A look-up costs about the same in a table of 7 entries and in one of 16,807. So neighbouring factors are added up into
packed tables while they stay in a core's own cache. The positions in all packed tables are one small matrix product,
`indices @ strides`: BLAS reads row-major and column-major architectures alike. Everything runs in chunks that stay in
the cache, and 8-bit copies of the indices are what the range check and the product read.

NumPy's product, not PyTorch's: `torch.set_float32_matmul_precision("medium")` would round the positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from supernet import Decision
from supernet.elimination import Factor, Scope, align

MOST_ENTRIES = 1 << 15
"""Entries of one packed table (256 KiB): several of them fit into the second-level cache."""

CHUNK = 1 << 12
"""Architectures that are costed at once."""

ROWS = 16
"""Row-major indices are range-checked as rows this many times as long: a maximum over short rows is slow in NumPy."""


class PackedLookup:
    """Evaluates a sum of factors for (N, D) arrays of option indices.

    Args:
        decisions: of the space, for their sizes and for messages.
        factors: the terms of the sum, float64 tables.
    """

    def __init__(self, decisions: Sequence[Decision], factors: Sequence[Factor]) -> None:
        self._decisions = tuple(decisions)
        sizes = [len(decision.options) for decision in decisions]
        self._sizes = np.array(sizes, dtype=np.int64)
        self._base = sum((float(table) for scope, table in factors if not scope), start=0.0)
        self._tables: list[NDArray[np.float64]] = []
        groups = _balanced_groups(sizes, [factor for factor in factors if factor[0]])
        self._strides = np.zeros((len(sizes), len(groups)), dtype=np.float32)  # exact: positions stay below 2^24
        for column, (scope, members) in enumerate(groups):
            shape = [sizes[decision] for decision in scope]
            table = np.zeros(shape)
            for member, values in members:
                table += align(member, values, scope)
            self._tables.append(table.ravel())
            for axis, decision in enumerate(scope):
                self._strides[decision, column] = prod(shape[axis + 1 :])
        self._narrow = np.min_scalar_type(max(sizes, default=1) - 1)

    def __call__(self, architectures: NDArray[np.integer]) -> NDArray[np.float64]:
        """(N, D) integers of any width, sign, byte order and layout -> (N,) float64.

        Raises:
            UserError: not a two-dimensional array of integers with D columns, or an index without an option.
        """
        architectures = self._checked(architectures)
        count, width = architectures.shape
        costs = np.full(count, self._base)
        if not architectures.size:
            return costs
        rows = min(CHUNK, -(-count // ROWS) * ROWS)
        by_rows = abs(architectures.strides[0]) >= abs(architectures.strides[1])
        indices = _zeros(rows, width, self._narrow, by_rows)
        numbers = _zeros(rows, width, np.dtype(np.float32), by_rows)
        positions = np.empty((len(self._tables), rows), dtype=np.intp)
        products = _zeros(rows, len(self._tables), np.dtype(np.float32), by_rows)
        found = np.empty(rows)
        for start in range(0, count, rows):
            chunk = architectures[start : start + rows]
            self._load(chunk, start, indices, by_rows)
            np.copyto(numbers, indices)
            if by_rows:
                np.matmul(numbers, self._strides, out=products)
            else:
                np.matmul(self._strides.T, numbers.T, out=products.T)
            np.copyto(positions, products.T, casting="unsafe")
            here = costs[start : start + rows]
            for table, position in zip(self._tables, positions, strict=True):
                table.take(position, out=found, mode="clip")  # "raise" would go through a buffer; all are in range
                here += found[: len(here)]
        return costs

    def _checked(self, architectures: NDArray[np.integer]) -> NDArray[np.integer]:
        array = np.asarray(architectures)
        width = len(self._sizes)
        if array.ndim in (1, 2) and not len(array):
            return np.zeros((0, width), dtype=np.uint8)
        if array.ndim != 2 or array.shape[1] != width:
            shape = "x".join(map(str, array.shape)) or "a single number"
            raise UserError(f"architectures are an array (N, {width}), one index per decision, not {shape}")
        if array.dtype.kind not in "iu":
            raise UserError(f"architectures are integers, one index per decision, not {array.dtype}")
        return array

    def _load(
        self, chunk: NDArray[np.integer], start: int, indices: NDArray[np.unsignedinteger], by_rows: bool
    ) -> None:
        """Copy a chunk into the narrow indices. Raises UserError where an index has no option."""
        # Read as unsigned, a negative index is a huge one: one maximum finds both ends.
        unsigned = chunk.view(chunk.dtype.str.replace("i", "u"))
        fits = chunk.dtype.itemsize <= indices.itemsize or int(unsigned.max()) <= np.iinfo(indices.dtype).max
        if fits:
            np.copyto(indices[: len(chunk)], unsigned, casting="unsafe")
            # What an earlier chunk left behind the end of the last one is in range.
            if by_rows:
                highest = indices.reshape(-1, ROWS * indices.shape[1]).max(axis=0).reshape(ROWS, -1).max(axis=0)
            else:
                highest = indices.max(axis=0)
            if (highest < self._sizes).all():
                return
        row, column = np.argwhere((chunk < 0) | (chunk >= self._sizes))[0]
        decision = self._decisions[column]
        raise UserError(
            f"architecture {start + row}, entry {column} ({decision.name}): index {chunk[row, column]} is not in "
            f"0..{len(decision.options) - 1}"
        )


def _zeros(rows: int, width: int, dtype: np.dtype, by_rows: bool) -> NDArray:
    return np.zeros((rows, width), dtype) if by_rows else np.zeros((width, rows), dtype).T


def _balanced_groups(sizes: Sequence[int], factors: Sequence[Factor]) -> list[tuple[Scope, list[Factor]]]:
    """Factors whose tables are added up: as few groups as `MOST_ENTRIES` allows, with the smallest tables for that."""
    limit = MOST_ENTRIES
    groups = _groups(sizes, factors, limit)
    while limit > 1 and len(smaller := _groups(sizes, factors, limit // 2)) == len(groups):
        groups, limit = smaller, limit // 2
    return groups


def _groups(sizes: Sequence[int], factors: Sequence[Factor], limit: int) -> list[tuple[Scope, list[Factor]]]:
    groups: list[tuple[Scope, list[Factor]]] = []
    for factor in sorted(factors, key=lambda factor: min(factor[0])):
        if groups:
            scope, members = groups[-1]
            wider = tuple(sorted({*scope, *factor[0]}))
            if prod(sizes[decision] for decision in wider) <= limit:
                groups[-1] = wider, [*members, factor]
                continue
        groups.append((tuple(sorted(factor[0])), [factor]))
    return groups
