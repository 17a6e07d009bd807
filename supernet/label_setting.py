"""Label setting: the greatest sum of factors within limits on other sums, exactly.

Decisions are fixed one after the other; a label is a partial architecture with its objective and its costs so far. Of
labels that leave the same decisions open, one that is no better and no cheaper in any cost than another is dropped, and
so is one that cannot be completed within the limits or to anything better than what is known. Costs are neither rounded
nor put into bins, so the result is the exact optimum; the bounds (Lagrangian relaxation) only keep labels few.

It is the labelling algorithm of resource-constrained shortest paths (Desrochers and Soumis 1988) with the bounds of
Handler and Zang (1980), on a sweep of variable elimination instead of a graph.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from supernet.elimination import Factor, Scope, Sums, align, optimum, sweep

Floats = NDArray[np.float64]

ROUNDS, HALVINGS = 3, 30
DOMINANCE_DEPTH = 512  # with several costs: best labels that each label is compared with; it prunes, no more
SLACK = 1e-12  # relative: an improvement below it is rounding


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
    show: Callable[[float], str] = "{:,.6g}".format


def constrained_optimum(
    sizes: Sequence[int], objective: Sequence[Factor], limits: Sequence[Bound]
) -> tuple[int, ...] | None:
    """An assignment with the greatest objective among those within all limits; None where there is none."""
    problem = _Problem(sizes, objective, limits)
    # A limit that not even the least cost is within: nothing to look for.
    if any(
        not optimum(sizes, [(s, t[1 + row]) for s, t in problem.terms], largest=False)[0] <= upper
        for row, upper in enumerate(problem.upper)
    ):
        return None
    prices, known = _prices(problem)
    return _labels(problem, prices, known)


class _Problem(Sums):
    """Objective (row 0) and costs (rows 1..K) side by side, and the most that these may be above the base."""

    def __init__(self, sizes: Sequence[int], objective: Sequence[Factor], limits: Sequence[Bound]) -> None:
        super().__init__(sizes, [objective, *(limit.factors for limit in limits)])
        self.upper = np.array([limit.upper for limit in limits], dtype=np.float64) - self.base[1:]

    def combined(self, prices: Floats) -> list[Factor]:
        """The objective less the priced costs."""
        signs = np.concatenate(([1.0], -prices))
        return [(scope, np.tensordot(signs, table, 1)) for scope, table in self.terms]


def _prices(problem: _Problem) -> tuple[Floats, tuple[int, ...] | None]:
    """Prices of the costs at which the unlimited optimum is nearly within the limits, and the best one met that is.

    The Lagrangian relaxation: for any prices p >= 0,

        max over a with c(a) <= u of f(a)  <=  max over all a of f(a) - p (c(a) - u),

    whose right-hand side elimination computes exactly. It is least, and the bound tightest, where the optimum of the
    right-hand side uses the limits up; one price after the other is bisected to there.
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
    # At no price at all: the unlimited optimum may be within the limits, and then it is the answer.
    if (probe(prices) <= 0).all():
        return prices, known[1] if known is not None else None
    # The scale of a price: what the objective spans over what the cost spans.
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
    """The factors in order, with the bounds on everything after each, from one sweep backwards."""
    shells = [(scope, np.empty(table.shape[1:])) for scope, table in problem.terms]
    visits = list(sweep(problem.sizes, shells))
    signs = np.concatenate(([1.0], -prices))
    rest: Floats = np.zeros(len(problem.base) + 1)
    layers: list[_Layer] = []
    for index in reversed(range(len(visits))):
        scope, _, front, closing = visits[index]
        _, table = problem.terms[index]
        # `front` is open while this factor is added: `before` was so already, and `remaining` stays so after it.
        before = () if index == 0 else tuple(d for d in visits[index - 1].front if d not in visits[index - 1].closing)
        remaining = tuple(d for d in front if d not in closing)
        here = np.stack([align(scope, row, front) for row in table])
        here = np.broadcast_to(here, (len(table), *(problem.sizes[d] for d in front)))
        layers.append(_Layer(front, remaining, tuple(d for d in front if d not in before), here, rest))
        # Backward recursion: what can still come before this factor is the factor plus what comes after it, at the best
        # of the decisions that first appear here. Each row has a best of its own: greatest objective, least costs,
        # greatest priced objective. The three need not be had together, so they are bounds.
        ahead = np.stack([align(remaining, np.asarray(row), front) for row in rest])
        total = np.concatenate((here, np.tensordot(signs, here, 1)[None])) + ahead
        new_axes = tuple(axis for axis, d in enumerate(front) if d not in before)
        rest = np.stack(
            [row.max(new_axes) if i in (0, len(total) - 1) else row.min(new_axes) for i, row in enumerate(total)]
        )
    return layers[::-1]


def _labels(problem: _Problem, prices: Floats, known: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The exact optimum: `known`, or something better that is within the limits."""
    # Only what is better than this is worth a label.
    target = -np.inf if known is None else problem.values(known)[0]
    target += SLACK * abs(target) if known is not None else 0.0
    values = np.zeros((1, len(problem.base)))
    open_options = np.zeros((1, 0), dtype=np.intp)  # of the remaining decisions, per label
    trail: list[tuple[Scope, NDArray[np.intp], NDArray[np.intp]]] = []
    for layer in _layers(problem, prices):
        # Extend: every label by every combination of the decisions that first appear in this factor.
        shape = [problem.sizes[d] for d in layer.new]
        combos = np.array(list(np.ndindex(*shape)), dtype=np.intp).reshape(prod(shape), len(shape))
        parent = np.repeat(np.arange(len(values)), len(combos))
        chosen = np.tile(combos, (len(values), 1))
        options = np.concatenate((open_options[parent], chosen), 1)  # in the order of the front
        values = values[parent] + layer.table[(slice(None), *options.T)].T
        # Close: decisions that no later factor reads are no longer open; labels differ in the others only.
        kept_axes = [axis for axis, d in enumerate(layer.front) if d in layer.remaining]
        open_options = options[:, kept_axes]
        rest = layer.rest[(slice(None), *open_options.T)]
        rest = rest.T if open_options.shape[1] else np.broadcast_to(rest, (len(values), len(rest)))
        # Bound: drop what cannot be completed within the limits, cost by cost, or to anything better than `target`;
        # first by the objective alone, then by the priced one, f - p (c - u) so far and at best to come.
        good = (values[:, 1:] + rest[:, 1:-1] <= problem.upper).all(1) & (values[:, 0] + rest[:, 0] > target)
        priced = values[:, 0] - values[:, 1:] @ prices + rest[:, -1] + problem.upper @ prices
        # The priced bound adds and subtracts the same large numbers: leave it room for rounding.
        good &= priced + 1e-9 * (1 + np.abs(priced)) > target
        # Dominate: of equal open decisions, keep what nothing else is at least as good and as cheap as.
        keep = np.flatnonzero(good)
        keep = keep[_undominated(open_options[keep], values[keep])]
        values, open_options = values[keep], open_options[keep]
        trail.append((layer.new, parent[keep], chosen[keep]))
    if not len(values):
        return known
    # Trace back: the best label's options, from the last factor to the first.
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
    by_group = np.argsort(group, kind="stable")  # members of a group lie side by side
    for members in np.split(by_group, np.flatnonzero(np.diff(group[by_group])) + 1):
        order = members[np.lexsort((*values[members, 1:].T, -values[members, 0]))]  # best objective first, then cheap
        costs = values[order, 1:]
        if costs.shape[1] == 0:
            kept.append(order[:1])
        elif costs.shape[1] == 1:
            # One cost: in the order of falling objective, keep whatever is cheaper than all before it.
            cheapest = np.minimum.accumulate(costs[:, 0])
            kept.append(order[np.concatenate(([True], costs[1:, 0] < cheapest[:-1]))])
        else:
            kept.append(order[_pareto(costs)])
    return np.sort(np.concatenate(kept))


def _pareto(costs: Floats) -> NDArray[np.bool_]:
    """(n, K) costs in the order of falling objective -> (n,) True for those with no earlier one as cheap in all."""
    alive = np.ones(len(costs), dtype=bool)
    for index in range(min(len(costs), DOMINANCE_DEPTH)):
        if alive[index]:
            alive[index + 1 :] &= (costs[index + 1 :] < costs[index]).any(1)
    return alive
