"""Fronts: what is not dominated, how well it is spread, how much it dominates, and what to pick from it.

All values are minimised: (N, M) arrays of N points with M objectives, without NaN.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def non_dominated_sort(values: Values) -> NDArray[np.intp]:
    """(N, M) -> (N,) fronts, 0 for what nothing dominates (Deb et al. 2002). Equal points share a front."""
    no_worse: NDArray[np.bool_] = np.all(values[:, None] <= values[None], axis=-1)
    dominates = no_worse & ~no_worse.T
    dominated_by = dominates.sum(0)
    front = np.full(len(values), -1, dtype=np.intp)
    number = 0
    while (front < 0).any():
        now: NDArray[np.bool_] = (front < 0) & (dominated_by == 0)
        front[now] = number
        dominated_by = dominated_by - dominates[now].sum(0)
        number += 1
    return front


def non_dominated(values: Values) -> NDArray[np.intp]:
    """The positions of the first front, equal points included, ascending."""
    found = [
        index for index, point in enumerate(values) if not ((values <= point).all(1) & (values < point).any(1)).any()
    ]
    return np.array(found, dtype=np.intp)


def joined(front: Values, point: Values) -> Values:
    """(N, M) points that do not dominate each other and a further one -> those of all that nothing dominates, once."""
    if (front <= point).all(1).any():
        return front
    return np.vstack([front[~(point <= front).all(1)], point])


def front_over_cost(cost: NDArray[np.float64], loss: NDArray[np.float64]) -> list[int]:
    """The positions of the points that no cheaper (or equally dear) one beats, by rising cost; of equals the first."""
    front: list[int] = []
    for position in np.lexsort((loss, cost)).tolist():
        if not front or loss[position] < loss[front[-1]]:
            front.append(position)
    return front


def crowding_distance(values: Values) -> NDArray[np.float64]:
    """(N, M) of one front -> (N,) mean gap between a point's neighbours as a share of the range; inf at the ends."""
    count, objectives = values.shape
    distance = np.zeros(count)
    for objective in range(objectives):
        order = np.argsort(values[:, objective], kind="stable")
        ordered = values[order, objective]
        span = ordered[-1] - ordered[0]
        distance[order[[0, -1]]] = np.inf
        if span > 0 and count > 2:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return distance / objectives


def hypervolume(values: Values, reference: Sequence[float]) -> float:
    """The volume that points dominate up to the reference point, exactly, by slicing along the last objective.

    Fast for two and three objectives; every further one multiplies the time by the number of points.
    """
    inside = values[(values < np.asarray(reference)).all(1)]
    return _volume(inside, tuple(reference))


def _volume(values: Values, reference: tuple[float, ...]) -> float:
    if not len(values):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - values.min())
    if len(reference) == 2:
        ordered = values[np.lexsort((values[:, 1], values[:, 0]))]
        lowest = np.minimum.accumulate(ordered[:, 1])
        widths = np.diff(np.append(ordered[:, 0], reference[0]))
        return float((widths * (reference[1] - lowest)).sum())
    ordered = values[np.argsort(values[:, -1], kind="stable")]
    heights = np.diff(np.append(ordered[:, -1], reference[-1]))
    return sum(
        height * _volume(ordered[: slice_ + 1, :-1], reference[:-1])
        for slice_, height in enumerate(heights.tolist())
        if height > 0
    )


def knee_point(values: Values) -> int:
    """The position of the point farthest below the plane through the ends of the front, each objective in its range."""
    first = non_dominated(values)
    front = values[first]
    span = np.ptp(front, axis=0)
    normalised = (front - front.min(0)) / np.where(span > 0, span, 1)
    return int(first[normalised.sum(1).argmin()])


def best_within(loss: NDArray[np.float64], cost: NDArray[np.float64], budgets: Sequence[float]) -> list[int | None]:
    """For each budget the position of the least loss with a cost of at most that; of equals the cheapest."""
    found: list[int | None] = []
    for budget in budgets:
        affordable = np.flatnonzero(cost <= budget)
        order = np.lexsort((cost[affordable], loss[affordable]))
        found.append(int(affordable[order[0]]) if len(order) else None)
    return found


def reference_directions(objectives: int, points: int) -> Values:
    """(K, M) evenly spaced points of the unit simplex, as many as fit into `points` (Das and Dennis 1998)."""
    if objectives == 1:
        return np.ones((1, 1))
    partitions = 1
    while comb(partitions + objectives, objectives - 1) <= points:
        partitions += 1
    return np.array(_compositions(objectives, partitions), dtype=np.float64) / partitions


def _compositions(parts: int, total: int) -> list[tuple[int, ...]]:
    if parts == 1:
        return [(total,)]
    return [(first, *rest) for first in range(total + 1) for rest in _compositions(parts - 1, total - first)]
