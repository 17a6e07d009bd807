"""What a search optimises: the accuracy (or NME) or the loss of a network, or any of its costs, maximised or minimised.

--objective accuracy --objective flops --objective my_score:max
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from config_file.errors import UserError, nearest
from search.result import Result
from supernet.metrics import metric_name
from tasks import CLASSIFICATION, TASKS, Task

MEASURED = (*(task.metric for task in TASKS.values()), "loss")
"""What an evaluator measures; every other objective is looked up in `Result.cost`."""

ALIASES = {"acc": "accuracy", "top1": "accuracy"}
DIRECTIONS = {"max": True, "min": False}


@dataclass(frozen=True)
class Objective:
    """One number of a result, and which way is better."""

    name: str
    maximise: bool = False

    @property
    def measured(self) -> bool:
        """Whether an evaluation is needed to know it; costs follow from the architecture."""
        return self.name in MEASURED

    def value(self, result: Result) -> float:
        """As reported (accuracy as a fraction, cost in raw units); NaN where the evaluation failed.

        Raises KeyError if the result has no such cost.
        """
        if result.failed:
            return math.nan
        return result.value(self.name) if self.measured else float(result.cost[self.name])

    def score(self, result: Result) -> float:
        """Greater is better; NaN where the evaluation failed."""
        value = self.value(result)
        return value if self.maximise else -value


ACCURACY = Objective("accuracy", maximise=True)


def parse_objectives(text: str | None) -> tuple[Objective, ...]:
    """The objectives of `--objective NAME[:max|:min]`, entries separated by commas; none: accuracy.

    Accuracy is maximised and everything else minimised unless said otherwise.

    Raises:
        UserError: an entry without a name, an unknown direction, or a name given twice.
    """
    objectives: list[Objective] = []
    for entry in filter(None, (part.strip() for part in (text or "accuracy").split(","))):
        name, colon, direction = (part.strip() for part in entry.partition(":"))
        name = metric_name(ALIASES.get(name, name))
        if not name or (colon and direction not in DIRECTIONS):
            raise UserError(f"--objective {entry!r}: write NAME, NAME:max or NAME:min, such as flops")
        if any(name == other.name for other in objectives):
            raise UserError(f"--objective names {name} twice")
        objectives.append(Objective(name, DIRECTIONS.get(direction, name == "accuracy")))
    if not objectives:
        raise UserError("--objective names nothing: write NAME, NAME:max or NAME:min, such as flops")
    return tuple(objectives)


def metric_of(task: Task) -> Objective:
    """A task's own metric as an objective."""
    return Objective(task.metric, task.maximise)


def check_objectives(objectives: Sequence[Objective], metrics: Collection[str], task: Task = CLASSIFICATION) -> None:
    """Raises UserError for an objective that the task does not measure and that there are no tables of."""
    others = {other.metric for other in TASKS.values()} - {task.metric}
    known = [name for name in (*MEASURED, *metrics) if name not in others]
    for objective in objectives:
        if objective.name not in known:
            raise UserError(
                f"--objective {objective.name}: nothing gives it{nearest(objective.name, known)} (there are: "
                f"{', '.join(known)}; others need --lookup-table FILE.json and --info-metric)"
            )


def chosen_by(objectives: Sequence[Objective], task: Task = CLASSIFICATION) -> Objective:
    """What one architecture is picked by: the first objective that is measured, the task's metric if there is none."""
    return next((objective for objective in objectives if objective.measured), metric_of(task))


def single(objectives: Sequence[Objective], strategy: str) -> Objective:
    """The only objective. Raises UserError where there are several: the strategy takes one."""
    if len(objectives) != 1:
        names = ", ".join(objective.name for objective in objectives)
        raise UserError(
            f"--search-strategy {strategy} has one objective, not {len(objectives)} ({names}): "
            "nsga2, nsga3 and predictor search a front"
        )
    return objectives[0]
