"""The best architecture within cost limits, exactly: dynamic programming over the decisions, with labels.

The objective and every cost are sums of factors over decisions (`supernet.elimination`). Decisions are fixed one after
the other; a label is a partial architecture with its objective and its costs so far. Of labels that leave the same
decisions open, one that is no better and no cheaper in any cost than another is dropped, and so is one that cannot be
completed within the limits or to anything better than what is known. Costs are neither rounded nor put into bins, so
the result is the exact optimum; the bounds (Lagrangian relaxation) only keep the number of labels small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from supernet.elimination import Factor, Scope, align, optimum, sweep

Floats = NDArray[np.float64]

ROUNDS, HALVINGS = 3, 30
DOMINANCE_DEPTH = 512  # with several costs: best labels that each label is compared with; it prunes, no more
FIRST_TILT, LAST_TILT, TILT_HALVINGS = 1e-2, 1e5, 6  # log probabilities per whole limit
SLACK = 1e-12  # relative: an improvement below it is rounding


def plain(value: float) -> str:
    """A cost as text."""
    return f"{value:,.6g}"


class Bound(NamedTuple):
    """A cost and the most that it may be.

    Args:
        name: for messages, such as "flops".
        factors: the cost as a sum of tables.
        upper: the limit, inclusive, in the unit of the factors.
        show: a value of the cost as a person reads it.
    """

    name: str
    factors: Sequence[Factor]
    upper: float
    show: Callable[[float], str] = plain


def derive_within(
    sizes: Sequence[int], scores: Sequence[NDArray[np.floating]], limits: Sequence[Bound]
) -> tuple[int, ...]:
    """The architecture with the greatest summed score among those within all limits.

    Args:
        sizes: number of options of each decision.
        scores: per decision one score per option; with log probabilities the result is the most probable architecture.
        limits: costs and the most that each may be.

    Raises:
        UserError: nothing is within the limits; the message says which one binds, and the exact minimum.
    """
    objective: list[Factor] = [((d,), np.asarray(row, dtype=np.float64)) for d, row in enumerate(scores)]
    best = _search(sizes, objective, limits)
    if best is None:
        raise UserError(_what_binds(sizes, limits))
    return best


def derive_filling(
    sizes: Sequence[int], scores: Sequence[NDArray[np.floating]], limits: Sequence[Bound], share: float = 0.98
) -> tuple[int, ...]:
    """As `derive_within`, but using at least `share` of the limit nearest to being used, where that can be had.

    Where the best architecture within the limits leaves more of them unused, the objective is tilted towards that cost,
    score + tilt * cost, with about the least tilt that fills the limit; each tilted optimum is exact. Which cost is
    tilted towards is decided by the untilted optimum, whose limits must be positive.

    Raises:
        UserError: as `derive_within`.
    """
    plain_choice = derive_within(sizes, scores, limits)
    used = [_total(limit.factors, plain_choice) / limit.upper for limit in limits]
    if not limits or max(used) >= share:
        return plain_choice
    nearest = limits[int(np.argmax(used))]
    if optimum(sizes, nearest.factors, largest=True)[0] < share * nearest.upper:
        return plain_choice  # a limit that nothing can fill
    objective: list[Factor] = [((d,), np.asarray(row, dtype=np.float64)) for d, row in enumerate(scores)]

    def tilted(tilt: float) -> tuple[int, ...]:
        costs: list[Factor] = [(scope, tilt / nearest.upper * table) for scope, table in nearest.factors]
        choice = _search(sizes, [*objective, *costs], limits)
        assert choice is not None, "the limits were met before"
        return choice

    def use(choice: tuple[int, ...]) -> float:
        return _total(nearest.factors, choice) / nearest.upper

    low, high, best = 0.0, FIRST_TILT, plain_choice
    while use(choice := tilted(high)) < share and high < LAST_TILT:
        best = max(best, choice, key=use)
        low, high = high, 4 * high
    best = max(best, choice, key=use)
    for _ in range(TILT_HALVINGS if use(best) >= share else 0):
        middle = 0.5 * (low + high)
        if use(choice := tilted(middle)) >= share:
            high, best = middle, choice
        else:
            low = middle
    return best


def check_feasible(sizes: Sequence[int], limits: Sequence[Bound]) -> None:
    """Raises UserError, saying which limit binds and the exact minimum, where nothing is within all limits."""
    if _search(sizes, [], limits) is None:
        raise UserError(_what_binds(sizes, limits))


def _what_binds(sizes: Sequence[int], limits: Sequence[Bound]) -> str:
    for limit in limits:
        minimum = optimum(sizes, limit.factors, largest=False)[0]
        if not minimum <= limit.upper:
            return (
                f"no architecture has {limit.name} of {limit.show(limit.upper)} or less: "
                f"the smallest of the space is {limit.show(minimum)}"
            )
    told = []
    for binding in limits:
        others = [limit for limit in limits if limit is not binding]
        negated: list[Factor] = [(scope, -table) for scope, table in binding.factors]
        cheapest = _search(sizes, negated, others)
        if cheapest is not None:
            within = " and ".join(f"{other.name} <= {other.show(other.upper)}" for other in others)
            least = _total(binding.factors, cheapest)
            told.append(f"with {within} the smallest {binding.name} is {binding.show(least)}")
    together = " and ".join(f"{limit.name} <= {limit.show(limit.upper)}" for limit in limits)
    return f"no architecture has {together} at once: " + ("; ".join(told) or "no two of these limits go together")


def _total(factors: Sequence[Factor], choice: Sequence[int]) -> float:
    return float(sum(float(table[tuple(choice[d] for d in scope)]) for scope, table in factors))


class _Problem:
    """Objective (row 0) and costs (rows 1..K) side by side, on one list of scopes."""

    def __init__(self, sizes: Sequence[int], objective: Sequence[Factor], limits: Sequence[Bound]) -> None:
        self.sizes = tuple(sizes)
        count = 1 + len(limits)
        self.base = np.zeros(count)
        tables: dict[Scope, Floats] = {}
        for row, factors in enumerate([objective, *(limit.factors for limit in limits)]):
            for scope, table in factors:
                if not scope:
                    self.base[row] += float(table)
                    continue
                key = tuple(sorted(scope))
                stack = tables.setdefault(key, np.zeros((count, *(self.sizes[d] for d in key))))
                stack[row] += align(scope, table.astype(np.float64), key)
        for decision, size in enumerate(self.sizes):
            tables.setdefault((decision,), np.zeros((count, size)))
        order = sorted(tables, key=lambda scope: (scope[-1], scope))
        self.terms = [(scope, tables[scope]) for scope in order]
        self.upper = np.array([limit.upper for limit in limits], dtype=np.float64) - self.base[1:]

    def combined(self, prices: Floats) -> list[Factor]:
        """The objective less the priced costs."""
        signs = np.concatenate(([1.0], -prices))
        return [(scope, np.tensordot(signs, table, 1)) for scope, table in self.terms]

    def values(self, choice: Sequence[int]) -> Floats:
        """(1 + K,) objective and costs of an architecture, without the base."""
        total = np.zeros(len(self.base))
        for scope, table in self.terms:
            index: Any = (slice(None), *(choice[d] for d in scope))
            total += table[index]
        return total


def _search(sizes: Sequence[int], objective: Sequence[Factor], limits: Sequence[Bound]) -> tuple[int, ...] | None:
    problem = _Problem(sizes, objective, limits)
    if any(
        not optimum(sizes, [(s, t[1 + row]) for s, t in problem.terms], largest=False)[0] <= upper
        for row, upper in enumerate(problem.upper)
    ):
        return None
    prices, known = _prices(problem)
    return _labels(problem, prices, known)


def _prices(problem: _Problem) -> tuple[Floats, tuple[int, ...] | None]:
    """Prices of the costs at which the unlimited optimum is nearly within the limits, and the best one met that is.

    Any prices >= 0 give a valid bound; bisection of one price after the other gives tight ones.
    """
    known: tuple[float, tuple[int, ...]] | None = None

    def probe(prices: Floats) -> Floats:
        nonlocal known
        choice = optimum(problem.sizes, problem.combined(prices), largest=True)[1]
        values = problem.values(choice)
        if (values[1:] <= problem.upper).all() and (known is None or values[0] > known[0]):
            known = values[0], choice
        return values[1:] - problem.upper

    count = len(problem.upper)
    prices = np.zeros(count)
    if (probe(prices) <= 0).all():
        return prices, known[1] if known is not None else None
    spans = np.array([[np.ptp(table[row]) for _, table in problem.terms] for row in range(1 + count)]).sum(1)
    unit = spans[0] / np.maximum(spans[1:], 1e-300)
    for _ in range(1 if count == 1 else ROUNDS):
        for row in range(count):
            low, high = 0.0, 1e4 * unit[row] if unit[row] else 1.0
            for _ in range(HALVINGS):
                # Geometric steps: prices span many orders of magnitude.
                middle = np.sqrt(max(low, high * 1e-8) * high)
                trial = prices.copy()
                trial[row] = middle
                low, high = (middle, high) if probe(trial)[row] > 0 else (low, middle)
            prices[row] = high
    return prices, known[1] if known is not None else None


class _Layer(NamedTuple):
    """One factor of the sweep and what is known about everything after it.

    rest: (1 + K + 1, *sizes of `remaining`): greatest objective, least costs and greatest priced objective of what is
    still to come.
    """

    front: Scope
    remaining: Scope
    new: Scope
    table: Floats
    rest: Floats


def _layers(problem: _Problem, prices: Floats) -> list[_Layer]:
    shells = [(scope, np.empty(table.shape[1:])) for scope, table in problem.terms]
    visits = list(sweep(problem.sizes, shells))
    signs = np.concatenate(([1.0], -prices))
    rest: Floats = np.zeros(len(problem.base) + 1)
    layers: list[_Layer] = []
    for index in reversed(range(len(visits))):
        scope, _, front, closing = visits[index]
        _, table = problem.terms[index]
        before = () if index == 0 else tuple(d for d in visits[index - 1].front if d not in visits[index - 1].closing)
        remaining = tuple(d for d in front if d not in closing)
        here = np.stack([align(scope, row, front) for row in table])
        here = np.broadcast_to(here, (len(table), *(problem.sizes[d] for d in front)))
        layers.append(_Layer(front, remaining, tuple(d for d in front if d not in before), here, rest))
        ahead = np.stack([align(remaining, np.asarray(row), front) for row in rest])
        total = np.concatenate((here, np.tensordot(signs, here, 1)[None])) + ahead
        new_axes = tuple(axis for axis, d in enumerate(front) if d not in before)
        rest = np.stack(
            [row.max(new_axes) if i in (0, len(total) - 1) else row.min(new_axes) for i, row in enumerate(total)]
        )
    return layers[::-1]


def _labels(problem: _Problem, prices: Floats, known: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The exact optimum: `known`, or something better that is within the limits."""
    target = -np.inf if known is None else problem.values(known)[0]
    target += SLACK * abs(target) if known is not None else 0.0
    values = np.zeros((1, len(problem.base)))
    open_options = np.zeros((1, 0), dtype=np.intp)  # of the remaining decisions, per label
    trail: list[tuple[Scope, NDArray[np.intp], NDArray[np.intp]]] = []
    for layer in _layers(problem, prices):
        shape = [problem.sizes[d] for d in layer.new]
        combos = np.array(list(np.ndindex(*shape)), dtype=np.intp).reshape(prod(shape), len(shape))
        parent = np.repeat(np.arange(len(values)), len(combos))
        chosen = np.tile(combos, (len(values), 1))
        options = np.concatenate((open_options[parent], chosen), 1)  # in the order of the front
        values = values[parent] + layer.table[(slice(None), *options.T)].T
        kept_axes = [axis for axis, d in enumerate(layer.front) if d in layer.remaining]
        open_options = options[:, kept_axes]
        rest = layer.rest[(slice(None), *open_options.T)]
        rest = rest.T if open_options.shape[1] else np.broadcast_to(rest, (len(values), len(rest)))
        good = (values[:, 1:] + rest[:, 1:-1] <= problem.upper).all(1) & (values[:, 0] + rest[:, 0] > target)
        priced = values[:, 0] - values[:, 1:] @ prices + rest[:, -1] + problem.upper @ prices
        # The priced bound adds and subtracts the same large numbers: leave it room for rounding.
        good &= priced + 1e-9 * (1 + np.abs(priced)) > target
        keep = np.flatnonzero(good)
        keep = keep[_undominated(open_options[keep], values[keep])]
        values, open_options = values[keep], open_options[keep]
        trail.append((layer.new, parent[keep], chosen[keep]))
    if not len(values):
        return known
    label = int(np.argmax(values[:, 0]))
    choice = [0] * len(problem.sizes)
    for new, parents, chosen in reversed(trail):
        for position, decision in enumerate(new):
            choice[decision] = int(chosen[label, position])
        label = int(parents[label])
    return tuple(choice)


def _undominated(open_options: NDArray[np.intp], values: Floats) -> NDArray[np.intp]:
    """Indices of labels to keep: of equal open options, drop what is no better and no cheaper than another."""
    if len(values) < 2:
        return np.arange(len(values))
    _, group = np.unique(open_options, axis=0, return_inverse=True)
    group = group.reshape(-1)
    kept: list[NDArray[np.intp]] = []
    by_group = np.argsort(group, kind="stable")
    for members in np.split(by_group, np.flatnonzero(np.diff(group[by_group])) + 1):
        order = members[np.lexsort((*values[members, 1:].T, -values[members, 0]))]  # best objective first, then cheap
        costs = values[order, 1:]
        if costs.shape[1] == 0:
            kept.append(order[:1])
        elif costs.shape[1] == 1:
            cheapest = np.minimum.accumulate(costs[:, 0])
            kept.append(order[np.concatenate(([True], costs[1:, 0] < cheapest[:-1]))])
        else:
            kept.append(order[_pareto(costs)])
    return np.sort(np.concatenate(kept))


def _pareto(costs: Floats) -> NDArray[np.bool_]:
    """(n, K) costs in the order of falling objective: which have no earlier one that is as cheap in all."""
    alive = np.ones(len(costs), dtype=bool)
    for index in range(min(len(costs), DOMINANCE_DEPTH)):
        if alive[index]:
            alive[index + 1 :] &= (costs[index + 1 :] < costs[index]).any(1)
    return alive
