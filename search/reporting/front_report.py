"""The front of a finished search: `front.csv`, its hypervolume, its knee, and the best under each budget."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from config_file.files import atomic_write_text
from config_file.quantity import quantity
from lookup_tables.limits import Limits
from search.objectives import Objective
from search.pareto import Values, best_within, hypervolume, knee_point, non_dominated
from search.reporting.results_file import confirmed_cells, confirmed_columns
from search.result import Result
from supernet import Architecture
from supernet.decisions import DecisionSpace
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
        best: (M,) the best of each among the candidates.
        volume: the share of the box from `best` to `reference` that the front dominates; NaN where the box is flat.
        within: (cost, least budget, greatest budget, position of the best by the first objective) for a few budgets of
            every cost; budgets with the same best one are together.
        metrics: of the costs, by name.
        confirmed: what was judged once more by what nothing was selected by.
        by: the scores that the front is one of, in words, where these are not shown otherwise.
    """

    objectives: tuple[Objective, ...]
    candidates: list[Result]
    members: list[int]
    knee: int
    reference: Values
    best: Values
    volume: float
    within: list[tuple[str, float, float, int]]
    metrics: Mapping[str, Metric]
    confirmed: Mapping[Architecture, Result]
    by: str = ""

    def in_words(self, space: DecisionSpace) -> list[tuple[str, str]]:
        """(what, text) for people: how many, hypervolume, knee, and the best within each budget."""
        names = ", ".join(objective.name for objective in self.objectives)
        names += f" ({self.by})" if self.by else ""
        networks = quantity(len(self.candidates), "network")
        return [
            ("front", f"{len(self.members)} of {networks}, which none beats in {names}"),
            ("hypervol.", self.volume_in_words()),
            ("knee", self.of(self.knee, space)),
            *(("within", f"{budgets}: {self.of(position, space)}") for budgets, position in self.within_in_words()),
        ]

    def volume_in_words(self) -> str:
        """The hypervolume, and of what it is a share."""
        if np.isnan(self.volume):
            return "none: in one of the objectives all networks are alike"
        return (
            f"{self.volume:.3f} of the box from the best of each objective ({self._shown(self.best)}) to the worst "
            f"({self._shown(self.reference)}) of this search, 1 at most"
        )

    def within_in_words(self) -> list[tuple[str, int]]:
        """(budgets of a cost, position of the best one within them)."""
        found = []
        for cost, least, greatest, position in self.within:
            low, high = (self.metrics[cost].in_short(budget, cost) for budget in (least, greatest))
            found.append((low if low == high else f"{low} to {high}", position))
        return found

    def of(self, position: int, space: DecisionSpace) -> str:
        """The objectives of a candidate in words, as they were confirmed too, and the names of its options."""
        result = self.candidates[position]
        judged, measured = self.confirmed.get(result.architecture), [o for o in self.objectives if o.measured]
        shown = self._shown(values_of([result], self.objectives)[0])
        again = "" if judged is None else "; ".join(f"{o.name} {o.in_words(o.value(judged))}" for o in measured)
        return f"{shown}{f' (confirmed: {again})' if again else ''}: {' '.join(space.names(result.architecture))}"

    def _shown(self, values: Sequence[float] | Values) -> str:
        pairs = [(o, -value if o.maximise else value) for o, value in zip(self.objectives, values, strict=True)]
        return ", ".join(
            f"{o.name} {o.in_words(value) if o.measured else self.metrics[o.name].in_words(value)}"
            for o, value in pairs
        )


def front_among(
    candidates: Sequence[Result],
    objectives: Sequence[Objective],
    metrics: Mapping[str, Metric] | None = None,
    confirmed: Mapping[Architecture, Result] | None = None,
    judged: Values | None = None,
    words: str = "",
) -> Front:
    """The front of evaluations that succeeded within the limits.

    Args:
        metrics: of the costs, by name; default those of METRICS that are called so.
        confirmed: of what was judged once more.
        judged: (N, M) what is minimised, where that is not the objectives themselves, as scores corrected for cost.
        words: what it is then.

    Raises ValueError where there are none.
    """
    if not candidates:
        raise ValueError("no evaluation to make a front of")
    values = values_of(candidates, objectives)
    by = values if judged is None else judged
    first = non_dominated(by)
    first = first[np.lexsort((first, *reversed(by[first].T)))]
    reference, ideal = values.max(0), values.min(0)
    box = float(np.prod(reference - ideal))
    within: list[tuple[str, float, float, int]] = []
    for index, objective in enumerate(objectives):
        if objectives[0].measured and not objective.measured and not objective.maximise:
            cost = values[:, index]
            budgets = np.unique(np.linspace(cost[first].min(), cost[first].max(), BUDGETS)).tolist()
            best = best_within(by[:, 0], cost, budgets)
            found = [(budget, at) for budget, at in zip(budgets, best, strict=True) if at is not None]
            for at, same in groupby(found, key=itemgetter(1)):
                together = [budget for budget, _ in same]
                within.append((objective.name, together[0], together[-1], at))
    return Front(
        tuple(objectives),
        list(candidates),
        first.tolist(),
        knee_point(by),
        reference,
        ideal,
        hypervolume(values, reference.tolist()) / box if box > 0 else math.nan,
        within,
        {o.name: (metrics or {}).get(o.name) or metric_called(o.name) for o in objectives},
        confirmed or {},
        words,
    )


def write_front(path: Path, front: Front, constraint: Limits) -> None:
    """One row per member of the front."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    measured = next((objective for objective in front.objectives if objective.measured), None)
    again = confirmed_columns(measured, front.confirmed) if measured else []
    table.writerow([*(objective.name for objective in front.objectives), *again, "knee", "indices", "architecture"])
    for position in front.members:
        result = front.candidates[position]
        shown = [f"{objective.value(result):.12g}" for objective in front.objectives]
        names = " ".join(constraint.space.names(result.architecture))
        if measured and again:
            shown += confirmed_cells(measured, front.confirmed.get(result.architecture)).values()
        table.writerow([*shown, int(position == front.knee), " ".join(map(str, result.architecture)), names])
    atomic_write_text(path, text.getvalue())
