"""Sums of factors for many architectures at once, on the fast way: few large tables instead of many small ones.

A look-up costs about the same in a table of 7 entries and in one of 16,807. So neighbouring factors are added up into
packed tables while they stay in a core's own cache. The position in a packed table is a number in mixed radix whose
digits are option indices; neighbouring digits are merged pairwise, in integers as narrow as their values allow, so that
one vector instruction handles up to 64 architectures. Everything runs in chunks that stay in the cache.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from supernet import Decision
from supernet.elimination import Factor, Scope, align

MOST_ENTRIES = 1 << 15  # entries of one packed table (256 KiB): several of them fit into the second-level cache
CHUNK = 1 << 15  # architectures that are costed at once: many enough that the calls do not count

Columns = NDArray[np.unsignedinteger]
"""(D, N) option indices: one contiguous row per decision."""


class PackedLookup:
    """Evaluates a sum of factors, float64 tables over a space's decisions, for (N, D) arrays of option indices."""

    def __init__(self, decisions: Sequence[Decision], factors: Sequence[Factor]) -> None:
        self._decisions = tuple(decisions)
        sizes = [len(decision.options) for decision in decisions]
        self._sizes = np.array(sizes, dtype=np.int64)
        self._base = sum((float(table) for scope, table in factors if not scope), start=0.0)
        # Neighbouring factors added up, once: cost(a) = base + sum over groups of table[position(a)].
        self._tables: list[tuple[Scope, NDArray[np.float64]]] = []
        for scope, members in _balanced_groups(sizes, [factor for factor in factors if factor[0]]):
            table = np.zeros([sizes[decision] for decision in scope])
            for member, values in members:
                table += align(member, values, scope)
            self._tables.append((scope, table.ravel()))  # the options of its decisions are the digits of a position
        self._narrow = np.min_scalar_type(max(sizes, default=1) - 1)

    def __call__(self, architectures: NDArray[np.integer]) -> NDArray[np.float64]:
        """(N, D) integers of any width, sign, byte order and layout -> (N,) float64.

        Raises:
            UserError: not a two-dimensional array of integers with D columns, or an index without an option.
        """
        architectures = self._checked(np.asarray(architectures))
        count = len(architectures)
        costs = np.full(count, self._base)
        if not architectures.size:
            return costs
        # Buffers for one chunk, used again for every chunk and table, so that they stay in the cache.
        rows = min(CHUNK, count)
        positions, found = np.empty(rows, dtype=np.intp), np.empty(rows)
        for start in range(0, count, rows):
            columns = self._columns(architectures[start : start + rows], start)
            length = columns.shape[1]
            here = costs[start : start + rows]
            for scope, table in self._tables:
                # Positions as pointers: `take` is fastest with indices of that width.
                np.copyto(positions[:length], self._merged(columns, scope)[0])
                # "raise" would go through a buffer; all positions are in range
                table.take(positions[:length], out=found[:length], mode="clip")
                here += found[:length]
        return costs

    def _merged(self, columns: Columns, scope: Scope) -> tuple[NDArray[np.unsignedinteger], int]:
        """The positions in the table over `scope`, and their number: halves first, so that most stay narrow.

        In mixed radix, position(i_1 ... i_k) = position(i_1 ... i_h) * n_(h+1) ... n_k + position(i_(h+1) ... i_k).
        """
        if len(scope) == 1:
            return columns[scope[0]], int(self._sizes[scope[0]])
        half = len(scope) // 2
        left, high = self._merged(columns, scope[:half])
        right, low = self._merged(columns, scope[half:])
        wide = np.min_scalar_type(high * low - 1)  # the narrowest integers that hold all positions
        merged = np.multiply(left, wide.type(low), dtype=wide)
        merged += right
        return merged, high * low

    def _checked(self, array: NDArray[np.integer]) -> NDArray[np.integer]:
        width = len(self._sizes)
        if array.ndim in (1, 2) and not len(array):
            return np.zeros((0, width), dtype=np.uint8)
        if array.ndim != 2 or array.shape[1] != width:
            shape = "x".join(map(str, array.shape)) or "a single number"
            raise UserError(f"architectures are an array (N, {width}), one index per decision, not {shape}")
        if array.dtype.kind not in "iu":
            raise UserError(f"architectures are integers, one index per decision, not {array.dtype}")
        return array

    def _columns(self, chunk: NDArray[np.integer], start: int) -> Columns:
        """A chunk, narrow and by columns. Raises UserError where an index has no option."""
        # Read as unsigned, a negative index is a huge one: one maximum finds both ends.
        unsigned = chunk.view(chunk.dtype.str.replace("i", "u"))
        fits = chunk.dtype.itemsize <= self._narrow.itemsize or int(unsigned.max()) <= np.iinfo(self._narrow).max
        if fits:
            columns: Columns = np.ascontiguousarray(unsigned.astype(self._narrow, copy=False).T)
            if (columns.max(axis=1) < self._sizes).all():
                return columns
        row, column = np.argwhere((chunk < 0) | (chunk >= self._sizes))[0]
        decision = self._decisions[column]
        raise UserError(
            f"architecture {start + row}, entry {column} ({decision.name}): index {chunk[row, column]} is not in "
            f"0..{len(decision.options) - 1}"
        )


def _balanced_groups(sizes: Sequence[int], factors: Sequence[Factor]) -> list[tuple[Scope, list[Factor]]]:
    """Factors whose tables are added up: as few groups as `MOST_ENTRIES` allows, with the smallest tables for that."""
    # Each halving of the limit that needs no more groups makes the largest table smaller.
    limit = MOST_ENTRIES
    groups = _groups(sizes, factors, limit)
    while limit > 1 and len(smaller := _groups(sizes, factors, limit // 2)) == len(groups):
        groups, limit = smaller, limit // 2
    return groups


def _groups(sizes: Sequence[int], factors: Sequence[Factor], limit: int) -> list[tuple[Scope, list[Factor]]]:
    # Greedily, in the order of the decisions: a factor joins the group before it while their table stays in the limit.
    groups: list[tuple[Scope, list[Factor]]] = []
    for factor in sorted(factors, key=lambda factor: min(factor[0])):
        scope, members = groups[-1] if groups else ((), [])
        wider = tuple(sorted({*scope, *factor[0]}))
        if groups and prod(sizes[decision] for decision in wider) <= limit:
            groups[-1] = wider, [*members, factor]
        else:
            groups.append((tuple(sorted(factor[0])), [factor]))
    return groups
