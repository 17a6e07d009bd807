"""The front of a finished search: `front.csv`, its hypervolume, its knee, and the best under each budget."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from config_file.files import atomic_write_text
from search.constraints import Constraint, number
from search.objectives import Objective
from search.pareto import Values, best_within, hypervolume, knee_point, non_dominated
from search.result import Result
from supernet.task import TASKS

BUDGETS = 5
METRICS = {task.metric for task in TASKS.values()}
"""What is shown in percent."""


def values_of(results: Sequence[Result], objectives: Sequence[Objective]) -> Values:
    """(N, M) what is minimised."""
    rows = [[-objective.score(result) for objective in objectives] for result in results]
    return np.array(rows, dtype=np.float64).reshape(len(results), len(objectives))


def allowed(results: Sequence[Result], constraint: Constraint) -> list[Result]:
    """What a front is made of: evaluations that succeeded, within the limits."""
    return [result for result in results if not result.failed and constraint.allows(result.architecture)]


def write_front(
    path: Path, results: Sequence[Result], objectives: Sequence[Objective], constraint: Constraint
) -> list[str]:
    """One row per network that nothing dominates, by the first objective; returns what there is to say about them.

    Raises ValueError if no evaluation succeeded within the limits.
    """
    candidates = allowed(results, constraint)
    if not candidates:
        raise ValueError("no evaluation to make a front of")
    values = values_of(candidates, objectives)
    first = non_dominated(values)
    first = first[np.lexsort((first, *reversed(values[first].T)))]
    knee = knee_point(values)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*(objective.name for objective in objectives), "knee", "indices", "architecture"])
    for position in first:
        result = candidates[position]
        shown = [f"{objective.value(result):.12g}" for objective in objectives]
        names = " ".join(constraint.space.names(result.architecture))
        table.writerow([*shown, int(position == knee), " ".join(map(str, result.architecture)), names])
    atomic_write_text(path, text.getvalue())
    reference = values.max(0)
    volume = hypervolume(values, reference.tolist())
    lines = [
        f"front      {len(first)} networks that none of the {len(candidates):,} beats in {_names(objectives)}",
        f"           hypervolume {volume:.6g} to the worst of each, {_shown(reference, objectives)}",
        f"knee       {_shown(values[knee], objectives)}: {' '.join(map(str, candidates[knee].architecture))}",
    ]
    costs = [index for index, objective in enumerate(objectives) if not objective.measured and not objective.maximise]
    if costs and objectives[0].measured:
        cost = values[:, costs[0]]
        budgets = np.unique(np.linspace(cost[first].min(), cost[first].max(), BUDGETS))
        for budget, best in zip(budgets.tolist(), best_within(values[:, 0], cost, budgets.tolist()), strict=True):
            assert best is not None
            objective = objectives[costs[0]]
            lines.append(
                f"within     {objective.name} {number(budget, objective.name)}: {_shown(values[best], objectives)}"
            )
    return lines


def _names(objectives: Sequence[Objective]) -> str:
    return ", ".join(objective.name for objective in objectives)


def _shown(values: Sequence[float] | Values, objectives: Sequence[Objective]) -> str:
    pairs = [(o, -value if o.maximise else value) for o, value in zip(objectives, values, strict=True)]
    return ", ".join(
        f"{o.name} {100 * value:.2f} %" if o.name in METRICS else f"{o.name} {number(value, o.name)}"
        for o, value in pairs
    )
