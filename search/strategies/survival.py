"""Survival in multi-objective evolution: by rank and crowding (NSGA-II) or by reference directions (NSGA-III)."""

from random import Random

import numpy as np
from numpy.typing import NDArray

from search.pareto import Values, crowding_distance, non_dominated_sort, reference_directions

Survivor = tuple[int, tuple[float, float]]
"""(position, fitness): the lower fitness wins a tournament."""


def rank_and_crowding(values: Values, survivors: int) -> list[Survivor]:
    """Whole fronts, and of the last one the least crowded (NSGA-II, Deb et al. 2002), of (N, M) minimised values."""
    kept: list[Survivor] = []
    fronts = non_dominated_sort(values)
    for front in range(fronts.max(initial=-1) + 1):
        members = np.flatnonzero(fronts == front)
        # The distance of i is the sum over objectives of (f(i + 1) - f(i - 1)) / (f_max - f_min), infinite at the ends.
        distance = crowding_distance(values[members])
        order = np.argsort(-distance, kind="stable")[: survivors - len(kept)]
        kept += [(int(members[i]), (float(front), -float(distance[i]))) for i in order]
        if len(kept) >= survivors:
            break
    return kept


def reference_niching(values: Values, survivors: int, rng: Random) -> list[Survivor]:
    """Whole fronts, and of the last one what lies in the emptiest directions (NSGA-III, Deb and Jain 2014).

    Values (N, M) are minimised. Within a rank mating is blind, as in the paper.
    """
    fronts = non_dominated_sort(values)
    sizes = np.bincount(fronts, minlength=1).cumsum()
    # 1. Fronts up to the one that has no room for all its members (algorithm 1).
    last = int(np.searchsorted(sizes, survivors))
    candidates = np.flatnonzero(fronts <= last)
    # 2. Each candidate belongs to the nearest reference direction, in objectives normalised by the first front
    #    (algorithms 2 and 3).
    directions = reference_directions(values.shape[1], survivors)
    niche, distance = _associate(_normalised(values[candidates], values[fronts == 0]), directions)
    kept = [i for i, member in enumerate(candidates) if fronts[member] < last]
    waiting = [i for i, member in enumerate(candidates) if fronts[member] == last]
    if len(candidates) <= survivors:
        kept, waiting = list(range(len(candidates))), []
    # 3. Niching (algorithm 4): of the last front a member of the niche with the fewest survivors; the nearest one to
    #    the direction if it has none yet, else any.
    counts = np.bincount(niche[kept], minlength=len(directions))
    while len(kept) < survivors and waiting:
        open_niches = sorted({int(niche[i]) for i in waiting})
        fewest = min(counts[k] for k in open_niches)
        chosen = rng.choice([k for k in open_niches if counts[k] == fewest])
        inside = [i for i in waiting if niche[i] == chosen]
        picked = min(inside, key=lambda i: distance[i]) if fewest == 0 else rng.choice(inside)
        counts[chosen] += 1
        kept.append(picked)
        waiting.remove(picked)
    return [(int(candidates[i]), (float(fronts[candidates[i]]), 0.0)) for i in kept]


def _normalised(values: Values, front: Values) -> Values:
    """From the ideal point in units of the intercepts of the plane through the extreme points of the first front."""
    ideal = front.min(0)
    shifted, above = values - ideal, front - ideal
    objectives = values.shape[1]
    scale = np.where(above.max(0) > 0, above.max(0), 1)
    weights = np.where(np.eye(objectives) > 0, 1.0, 1e6)
    # The extreme point of objective j minimises max_i f_i / w_i, with w_j = 1 and the other weights 1e-6 (equation 4).
    extreme = above[((above / scale)[None] * weights[:, None]).max(-1).argmin(1)]
    try:
        # The plane through them is sum_j f_j / a_j = 1, with the intercepts a.
        intercepts = 1 / np.linalg.solve(extreme, np.ones(objectives))
    except np.linalg.LinAlgError:
        intercepts = above.max(0)
    usable = np.isfinite(intercepts).all() and (intercepts > 1e-9 * scale).all()
    return shifted / np.where(intercepts > 0, intercepts, 1) if usable else shifted / scale


def _associate(values: Values, directions: Values) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Per point the nearest direction, and the distance to it."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    along = values @ unit.T  # |f|^2 = (f . w)^2 + distance^2 for a direction w of length 1
    across = np.sqrt(np.maximum((values**2).sum(1)[:, None] - along**2, 0))
    return across.argmin(1), across.min(1)
