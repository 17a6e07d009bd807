"""Variable elimination: exact sums, minima, maxima and counts over every architecture of a space.

A quantity that is a sum (or a product) of factors, each a table over a few decisions, is combined factor by factor;
a decision is reduced away as soon as no later factor reads it. The work is that of the widest frontier, not of the
size of the space: a 7^21 chain takes 21 steps over 7 numbers. With the message m over the open decisions, one step is

    m(open, d) <- m(open, d) * f(d, ...)        the next factor, which may open decisions
    m(open)    <- sum over d of m(open, d)      where no later factor reads d

(bucket elimination, Dechter 1999), in which (sum, *) is (min, +), (max, +) or (+, *) on exact integers.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Scope = tuple[int, ...]
Factor = tuple[Scope, np.ndarray]
"""A table over the decisions in `scope`: one axis per decision, in that order."""


class Visit(NamedTuple):
    """One factor of a sweep, the decisions that are open while it is combined, and those that close after it."""

    scope: Scope
    table: np.ndarray | None
    front: Scope
    closing: Scope


def align(scope: Scope, table: np.ndarray, front: Sequence[int]) -> np.ndarray:
    """`table` with its axes in the order of `front`, and axes of length one for decisions it does not read."""
    order = sorted(range(len(scope)), key=lambda axis: front.index(scope[axis]))
    sizes = [table.shape[scope.index(decision)] if decision in scope else 1 for decision in front]
    return np.transpose(table, order).reshape(sizes)


class Coded(NamedTuple):
    """A factor of few different entries: `codes`, one axis per decision in `scope`, are positions in `entries`.

    However many decisions it is over, each entry is looked at once.
    """

    scope: Scope
    codes: NDArray[np.integer]
    entries: list[Any]

    def map(self, value: Callable[[Any], float]) -> Factor:
        """The factor of numbers whose entries are the values of these."""
        values = np.array([value(entry) for entry in self.entries], dtype=np.float64)
        return self.scope, np.asarray(values[self.codes])

    @property
    def factor(self) -> Factor:
        """The table of the entries themselves."""
        entries = np.empty(len(self.entries), dtype=object)
        entries[:] = self.entries
        return self.scope, cell(self.entries[int(self.codes)]) if self.codes.ndim == 0 else entries[self.codes]


def coded(scope: Scope, codes: NDArray[np.integer], entries: Sequence[Any]) -> Coded:
    """Such a factor; equal entries become one, and decisions along which nothing changes leave the scope."""
    places: dict[Any, int] = {}
    same = np.array([places.setdefault(entry, len(places)) for entry in entries])
    same = same.astype(np.min_scalar_type(len(places)))  # of large tables one byte each
    codes = same[codes]
    for axis in reversed(range(len(scope))):
        first, second = (np.take(codes, [option], axis, mode="clip") for option in (0, 1))
        if (first == second).all() and (codes == first).all():  # most differ in the second already
            codes = np.take(codes, 0, axis)
            scope = scope[:axis] + scope[axis + 1 :]
    return Coded(scope, np.asarray(codes), list(places))


def coded_table(scope: Scope, table: np.ndarray) -> Coded:
    """The same of a table of entries."""
    return coded(scope, np.arange(table.size).reshape(table.shape), list(table.flat))


def combined(factors: Sequence[Coded], rule: Callable[[list[Any]], Any]) -> Coded:
    """One factor of several: `rule` makes its entry of one entry each, once for every combination that there is."""
    scope = tuple(dict.fromkeys(decision for factor in factors for decision in factor.scope))
    key = np.zeros([1 for _ in scope], dtype=np.int32)  # as wide as what was combined so far asks for
    met: list[tuple[Any, ...]] = [()]  # the combinations so far, by their numbers in the key
    for factor in factors:
        if len(factor.entries) == 1:  # as of every gate that is always open
            met = [(*combination, *factor.entries) for combination in met]
            continue
        key = key * len(factor.entries) + align(factor.scope, factor.codes, scope)
        there = np.bincount(key.ravel(), minlength=len(met) * len(factor.entries)) > 0
        key = (np.cumsum(there, dtype=np.int32) - 1)[key]
        numbers = np.flatnonzero(there).tolist()
        met = [(*met[n // len(factor.entries)], factor.entries[n % len(factor.entries)]) for n in numbers]
    return coded(scope, key, [rule(list(combination)) for combination in met])


def cell(value: Any) -> np.ndarray:
    """A table over no decisions."""
    table = np.empty((), dtype=object)
    table[()] = value
    return table


def grouped(factors: Sequence[Factor]) -> list[Factor]:
    """The factors in their order, but those that share decisions, directly or not, together: fewer are then open."""
    group: dict[int, set[int]] = {}  # per decision all that it is connected to
    for scope, _ in factors:
        joined = set(scope).union(*(group[decision] for decision in scope if decision in group))
        group.update(dict.fromkeys(joined, joined))
    first: dict[int, int] = {}  # per group, by its least member, where it comes first
    for position, (scope, _) in enumerate(factors):
        if scope:
            first.setdefault(min(group[scope[0]]), position)
    return sorted(factors, key=lambda factor: first[min(group[factor[0][0]])] if factor[0] else -1)


def sweep(sizes: Sequence[int], factors: Sequence[Factor]) -> Iterator[Visit]:
    """The factors in order, each with its frontier; decisions that no factor reads come last, with table None."""
    read = {decision for scope, _ in factors for decision in scope}
    visits: list[tuple[Scope, np.ndarray | None]] = list(factors)
    visits += [((decision,), None) for decision in range(len(sizes)) if decision not in read]
    last = {decision: index for index, (scope, _) in enumerate(visits) for decision in scope}
    front: list[int] = []
    for index, (scope, table) in enumerate(visits):
        front += [decision for decision in scope if decision not in front]
        closing = tuple(decision for decision in front if last[decision] == index)
        yield Visit(scope, table, tuple(front), closing)
        front = [decision for decision in front if decision not in closing]


def _eliminate(
    sizes: Sequence[int],
    factors: Sequence[Factor],
    combine: Callable[[Any, Any], Any],
    neutral: Any,
    close: Callable[[np.ndarray, int, Scope, int], Any],
) -> Any:
    # numpy makes a bare number of a single entry, and of that one of 64 bits: always say the type.
    kind = object if isinstance(neutral, int) else float
    message = np.asarray(neutral, dtype=kind)
    for scope, table, front, closing in sweep(sizes, grouped(factors)):
        if table is None:  # a decision that nothing reads: each of its options counts the same
            table = np.full(sizes[scope[0]], neutral, dtype=kind)
        # Open: newly read decisions are the last axes. Combine with the factor, then close what is not read again.
        message = message.reshape(message.shape + (1,) * (len(front) - message.ndim))
        message = np.asarray(combine(message, align(scope, table, front)), dtype=kind)
        remaining = list(front)
        for decision in closing:
            axis = remaining.index(decision)
            remaining.remove(decision)
            message = np.asarray(close(message, axis, tuple(remaining), decision), dtype=kind)
    return message[()]


def summed(factors: Sequence[Factor]) -> list[Factor]:
    """The same sum with one factor for each scope."""
    sums: dict[Scope, Factor] = {}
    for scope, table in factors:
        first, total = sums.setdefault(tuple(sorted(scope)), (scope, np.zeros(table.shape)))
        sums[tuple(sorted(scope))] = first, total + align(scope, table, first)
    return list(sums.values())


class Sums:
    """Several sums of factors side by side, on one list of scopes that covers every decision.

    Attributes:
        base: (K,) what all assignments share.
        terms: scopes in the order of their last decisions, each with its tables (K, *options).
    """

    def __init__(self, sizes: Sequence[int], sums: Sequence[Sequence[Factor]]) -> None:
        self.sizes = tuple(sizes)
        self.base = np.zeros(len(sums))
        tables: dict[Scope, np.ndarray] = {}
        for row, factors in enumerate(sums):
            for scope, table in factors:
                if not scope:
                    self.base[row] += float(table)
                    continue
                key = tuple(sorted(scope))
                stack = tables.setdefault(key, np.zeros((len(sums), *(self.sizes[d] for d in key))))
                stack[row] += align(scope, table.astype(np.float64), key)
        # A decision that nothing reads still needs an option: a table of zeros.
        for decision, size in enumerate(self.sizes):
            tables.setdefault((decision,), np.zeros((len(sums), size)))
        order = sorted(tables, key=lambda scope: (scope[-1], scope))
        self.terms = [(scope, tables[scope]) for scope in order]

    def values(self, choice: Sequence[int]) -> np.ndarray:
        """(K,) sums of an assignment, without the base."""
        total = np.zeros(len(self.base))
        for scope, table in self.terms:
            index: Any = (slice(None), *(choice[d] for d in scope))
            total += table[index]
        return total


def optimum(sizes: Sequence[int], factors: Sequence[Factor], largest: bool) -> tuple[float, tuple[int, ...]]:
    """The exact minimum, or the `largest` value, of a sum of factors, and an assignment that reaches it."""
    trail: list[tuple[int, Scope, np.ndarray]] = []

    def close(message: np.ndarray, axis: int, remaining: Scope, decision: int) -> np.ndarray:
        trail.append((decision, remaining, (np.argmax if largest else np.argmin)(message, axis)))
        return (np.max if largest else np.min)(message, axis)

    value = _eliminate(sizes, factors, np.add, 0.0, close)
    # Backwards: a decision closes given those still open, which are settled by then.
    choice = [0] * len(sizes)
    for decision, remaining, best in reversed(trail):
        choice[decision] = int(best[tuple(choice[other] for other in remaining)])
    return float(value), tuple(choice)


def count(sizes: Sequence[int], factors: Sequence[Factor]) -> int:
    """Sum over all assignments of the product of 0/1 factors: an exact Python integer of any size."""
    exact = [(scope, table.astype(object)) for scope, table in factors]
    return int(_eliminate(sizes, exact, np.multiply, 1, lambda message, axis, *_: message.sum(axis)))
