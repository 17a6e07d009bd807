"""The front of a finished search: `front.csv`, its hypervolume, its knee, and the best under each budget."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config_file.files import atomic_write_text
from lookup_tables.limits import Limits
from search.objectives import Objective
from search.pareto import Values, best_within, hypervolume, knee_point, non_dominated
from search.result import Result
from supernet.metrics import Metric, metric_called

BUDGETS = 5


def values_of(results: Sequence[Result], objectives: Sequence[Objective]) -> Values:
    """(N, M) what is minimised."""
    rows = [[-objective.score(result) for objective in objectives] for result in results]
    return np.array(rows, dtype=np.float64).reshape(len(results), len(objectives))


@dataclass(frozen=True)
class Front:
    """The results that nothing dominates.

    Attributes:
        candidates: the N results it was taken from.
        members: their positions, the best by the first objective first.
        knee: the position of the one farthest below the plane through the front's ends.
        reference: (M,) the worst of each of M objectives among the candidates, minimised.
        volume: what the front dominates up to `reference`.
        within: (cost, budget, position of the best by the first objective) for a few budgets of every cost.
        metrics: of the costs, by name.
    """

    objectives: tuple[Objective, ...]
    candidates: list[Result]
    members: list[int]
    knee: int
    reference: Values
    volume: float
    within: list[tuple[str, float, int]]
    metrics: Mapping[str, Metric]

    def in_words(self) -> list[tuple[str, str]]:
        """(what, text) for people: how many, hypervolume, knee, and the best within each budget."""
        names = ", ".join(objective.name for objective in self.objectives)
        reference = self._shown(self.reference)
        architecture = " ".join(map(str, self.candidates[self.knee].architecture))
        return [
            ("front", f"{len(self.members)} of {len(self.candidates):,} networks, which none beats in {names}"),
            ("hypervol.", f"{self.volume:.6g} to the worst of each: {reference}"),
            ("knee", f"{self.of(self.knee)}: {architecture}"),
            *(
                ("within", f"{cost} {self.metrics[cost].in_words(budget)}: {self.of(position)}")
                for cost, budget, position in self.within
            ),
        ]

    def of(self, position: int) -> str:
        """The objectives of a candidate in words."""
        return self._shown(values_of([self.candidates[position]], self.objectives)[0])

    def _shown(self, values: Sequence[float] | Values) -> str:
        pairs = [(o, -value if o.maximise else value) for o, value in zip(self.objectives, values, strict=True)]
        return ", ".join(
            f"{o.name} {o.in_words(value) if o.measured else self.metrics[o.name].in_words(value)}"
            for o, value in pairs
        )


def front_among(
    candidates: Sequence[Result], objectives: Sequence[Objective], metrics: Mapping[str, Metric] | None = None
) -> Front:
    """The front of evaluations that succeeded within the limits.

    Args:
        metrics: of the costs, by name; default those of METRICS that are called so.

    Raises ValueError where there are none.
    """
    if not candidates:
        raise ValueError("no evaluation to make a front of")
    values = values_of(candidates, objectives)
    first = non_dominated(values)
    first = first[np.lexsort((first, *reversed(values[first].T)))]
    reference = values.max(0)
    within = []
    for index, objective in enumerate(objectives):
        if objectives[0].measured and not objective.measured and not objective.maximise:
            cost = values[:, index]
            budgets = np.unique(np.linspace(cost[first].min(), cost[first].max(), BUDGETS)).tolist()
            best = best_within(values[:, 0], cost, budgets)
            within += [(objective.name, budget, at) for budget, at in zip(budgets, best, strict=True) if at is not None]
    return Front(
        tuple(objectives),
        list(candidates),
        first.tolist(),
        knee_point(values),
        reference,
        hypervolume(values, reference.tolist()),
        within,
        {o.name: (metrics or {}).get(o.name) or metric_called(o.name) for o in objectives},
    )


def write_front(path: Path, front: Front, constraint: Limits) -> None:
    """One row per member of the front."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*(objective.name for objective in front.objectives), "knee", "indices", "architecture"])
    for position in front.members:
        result = front.candidates[position]
        shown = [f"{objective.value(result):.12g}" for objective in front.objectives]
        names = " ".join(constraint.space.names(result.architecture))
        table.writerow([*shown, int(position == front.knee), " ".join(map(str, result.architecture)), names])
    atomic_write_text(path, text.getvalue())
