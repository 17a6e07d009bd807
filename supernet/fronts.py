"""Fronts of sums: every assignment than which none is as good and as cheap, so the best within every budget, exactly.

Decisions are fixed one after the other; a label is a partial assignment with its value and its costs so far. Of labels
that leave the same decisions open, whatever comes after adds the same to all: so one than which another is as good and
as cheap in every cost is dropped (multi-criteria label setting, Martins 1984, on a sweep of variable elimination).
Nothing is rounded.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from supernet.elimination import Factor, Scope, Sums, sweep

Floats = NDArray[np.float64]

MOST_LABELS = 1 << 21
"""Partial assignments that are kept at once."""


class TooManyLabelsError(ValueError):
    """More partial assignments than MOST_LABELS do not dominate each other."""


class Front(NamedTuple):
    """Assignments by rising costs, the first one first.

    Attributes:
        choices: (N, D) options.
        values: (N,).
        costs: (N, K).
    """

    choices: NDArray[np.intp]
    values: Floats
    costs: Floats


def exact_front(sizes: Sequence[int], value: Sequence[Factor], costs: Sequence[Sequence[Factor]]) -> Front:
    """The front of the greatest value and the least of one or two costs, each a sum of factors over decisions.

    Of assignments that are alike in all of these, one.

    Raises:
        TooManyLabelsError: the front, or one of a part of the decisions, is too large.
        ValueError: no cost, or more than two.
    """
    if len(costs) not in (1, 2):
        raise ValueError(f"fronts are over one cost or two, not {len(costs)}")
    sums = Sums(sizes, [value, *costs])
    shells = [(scope, np.empty(table.shape[1:])) for scope, table in sums.terms]
    labels = np.zeros((1, len(sums.base)))
    options = np.zeros((1, 0), dtype=np.intp)  # of the open decisions, in their order
    before: Scope = ()
    trail: list[tuple[Scope, NDArray[np.intp], NDArray[np.intp]]] = []
    for (scope, table), visit in zip(sums.terms, sweep(sums.sizes, shells), strict=True):
        # 1. Extend: every label by every combination of the decisions that are first read here.
        new = tuple(decision for decision in visit.front if decision not in before)
        shape = [sums.sizes[decision] for decision in new]
        combinations = np.array(list(np.ndindex(*shape)), dtype=np.intp).reshape(prod(shape), len(shape))
        parent = np.repeat(np.arange(len(labels)), len(combinations))
        chosen = np.tile(combinations, (len(labels), 1))
        options = np.concatenate((options[parent], chosen), axis=1)
        read: Any = (slice(None), *(options[:, visit.front.index(decision)] for decision in scope))
        labels = labels[parent] + table[read].T
        # 2. Close: labels differ from now on in the decisions that something still reads.
        open_axes = [axis for axis, decision in enumerate(visit.front) if decision not in visit.closing]
        before = tuple(visit.front[axis] for axis in open_axes)
        options = options[:, open_axes]
        # 3. Dominate, among those that are equal in these.
        shape = [sums.sizes[decision] for decision in before]
        group = np.zeros(len(labels), dtype=np.intp)
        if before:
            group += np.ravel_multi_index(tuple(options.T), shape)
        keep = undominated(group, -labels[:, 0], labels[:, 1:])
        if len(keep) > MOST_LABELS:
            raise TooManyLabelsError(f"more than {MOST_LABELS:,} partial architectures do not dominate each other")
        labels, options = labels[keep], options[keep]
        trail.append((new, parent[keep], chosen[keep]))
    # 4. Trace back: the options of every label, from the last factor to the first.
    choices = np.zeros((len(labels), len(sums.sizes)), dtype=np.intp)
    at = np.lexsort(labels[:, :0:-1].T)
    labels = labels[at] + sums.base
    for new, parent, chosen in reversed(trail):
        for position, decision in enumerate(new):
            choices[:, decision] = chosen[at, position]
        at = parent[at]
    return Front(choices, labels[:, 0], labels[:, 1:])


def undominated(group: NDArray[np.intp], loss: Floats, costs: Floats) -> NDArray[np.intp]:
    """The positions that no other one of their group dominates, of equals one; losses (N,) and costs (N, 1 or 2).

    With two costs by divide and conquer (Kung, Luccio and Preparata 1975), all blocks of a size and all groups at once.
    """
    order = np.lexsort((loss, *costs.T[::-1], group))
    group, rank = group[order], _dense(loss[order])
    if costs.shape[1] == 1:
        # Cheaper ones stand before: a label must be better than the best of them.
        return order[rank < _best_before(group, rank)]
    second = _dense(costs[order, 1])
    alive = np.ones(len(order), dtype=bool)
    size = 1
    while size < len(order):
        # Pairs of neighbouring blocks: whatever is in the left one is as cheap by the first cost as what is in the
        # right one; it dominates what is no better and no cheaper by the second.
        block = np.arange(len(order)) // size
        right = block % 2 == 1
        pair = np.unique(np.stack([block // 2, group]), axis=1, return_inverse=True)[1].reshape(-1)
        inner = np.lexsort((right, second, pair))
        # The left ones that are as cheap by the second cost stand before; right ones are no rivals here.
        best = _best_before(pair[inner], np.where(right[inner], len(order), rank[inner]))
        alive[inner] &= ~right[inner] | (rank[inner] < best)
        size *= 2
    return order[alive]


def _dense(values: Floats) -> NDArray[np.intp]:
    """(N,) -> (N,) whole numbers in the same order."""
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.intp)


def _best_before(group: NDArray[np.intp], rank: NDArray[np.intp]) -> NDArray[np.intp]:
    """(N,) the least rank that stands before each one in its group, and more than every rank where there is none.

    Members of a group stand side by side.
    """
    most = len(rank) + 1
    _, number = np.unique(group, return_inverse=True)
    # Later groups are lower by more than all ranks, so that one running minimum does not reach from one to the next.
    shift = -most * number.reshape(-1)
    running = np.minimum.accumulate(rank + shift)
    before = np.concatenate(([most], running[:-1] - shift[1:]))
    return np.minimum(before, most).astype(np.intp)
