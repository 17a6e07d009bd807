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


def reduced(scope: Scope, table: np.ndarray) -> Factor:
    """The factor without the decisions along which its table does not change."""
    for axis in reversed(range(len(scope))):
        first = np.take(table, [0], axis)
        if all(a == b for a, b in zip(np.broadcast_to(first, table.shape).flat, table.flat, strict=True)):
            kept = np.take(table, 0, axis)
            table = kept if isinstance(kept, np.ndarray) else cell(kept)
            scope = scope[:axis] + scope[axis + 1 :]
    return scope, table


def cell(value: Any) -> np.ndarray:
    """A table over no decisions."""
    table = np.empty((), dtype=object)
    table[()] = value
    return table


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
    for scope, table, front, closing in sweep(sizes, factors):
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
