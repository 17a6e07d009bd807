"""Objectives of a search: a metric that is measured, such as the accuracy or the loss, or a cost, either way.

--objective accuracy --objective flops --objective my_score:max
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from config_file.errors import UserError, nearest
from search.result import Result
from supernet.metrics import metric_name
from tasks import TASKS

MEASURED = {**{task.metric: task.maximise for task in TASKS.values()}, "loss": False}
"""{metric: whether more is better} of the tasks; what else an evaluator measures it says itself."""

ALIASES = {"acc": "accuracy", "top1": "accuracy"}
DIRECTIONS = {"max": True, "min": False}


@dataclass(frozen=True)
class Objective:
    """One number of a result, and which way is better.

    Attributes:
        name: of the metric or cost.
        maximise: whether more is better.
        measured: whether an evaluation is needed to know it; costs follow from the architecture.
    """

    name: str
    maximise: bool = False
    measured: bool = False

    def value(self, result: Result) -> float:
        """As reported (accuracy as a fraction, cost in raw units); NaN where the evaluation failed.

        Raises KeyError if the result has no such cost.
        """
        if result.state == "failed":
            return math.nan
        value = result.metrics.get(self.name)
        if value is None:
            return math.nan if self.measured else float(result.cost[self.name])
        return value

    def score(self, result: Result) -> float:
        """Greater is better; NaN where the evaluation failed."""
        value = self.value(result)
        return value if self.maximise else -value

    def __str__(self) -> str:
        return f"{self.name}:{'max' if self.maximise else 'min'}"

    @property
    def title(self) -> str:
        """The name for people."""
        return next((task.title for task in TASKS.values() if task.metric == self.name), self.name)

    @property
    def percent(self) -> bool:
        """True where it is shown in percent, as the metrics of tasks are."""
        return any(task.metric == self.name for task in TASKS.values())

    def shown(self, value: float) -> float:
        """The number that is shown for a value."""
        return 100 * value if self.percent else value

    def digits(self, shown: float, unit: bool = False) -> str:
        """A shown number with as many digits as people need."""
        return f"{shown:.2f}{' %' if unit else ''}" if self.percent else f"{shown:.6g}"

    def in_words(self, value: float) -> str:
        """A value for people, without its name."""
        return self.digits(self.shown(value), unit=True)

    def axis(self, method: str) -> str:
        """The title of an axis of its shown values; `method`: what it was measured with."""
        return f"validation {self.title}, {method} (%)" if self.percent else f"{self.title}, {method}"

    def better(self, value: float, than: float) -> bool:
        """True where a value beats another one."""
        return value > than if self.maximise else value < than

    @property
    def worst(self) -> float:
        """A value that every other one beats."""
        return -math.inf if self.maximise else math.inf


ACCURACY = Objective("accuracy", maximise=True, measured=True)


def parse_objectives(text: str | None, measures: Mapping[str, bool] = MEASURED) -> tuple[Objective, ...]:
    """The objectives of `--objective NAME[:max|:min]`, entries separated by commas; none: the first of the measures.

    What is measured goes the way that `measures` says, and costs are minimised, unless said otherwise.

    Raises:
        UserError: an entry without a name, an unknown direction, or a name given twice.
    """
    objectives: list[Objective] = []
    for entry in filter(None, (part.strip() for part in (text or next(iter(measures))).split(","))):
        name, colon, direction = (part.strip() for part in entry.partition(":"))
        name = metric_name(ALIASES.get(name, name))
        if not name or (colon and direction not in DIRECTIONS):
            raise UserError(f"--objective {entry!r}: write NAME, NAME:max or NAME:min, such as flops")
        if any(name == other.name for other in objectives):
            raise UserError(f"--objective names {name} twice")
        maximise = DIRECTIONS.get(direction, measures.get(name, False))
        objectives.append(Objective(name, maximise, name in measures))
    if not objectives:
        raise UserError("--objective names nothing: write NAME, NAME:max or NAME:min, such as flops")
    return tuple(objectives)


def check_objectives(
    objectives: Sequence[Objective], measures: Collection[str], costs: Collection[str], untrained: Collection[str] = ()
) -> None:
    """Raises UserError for an objective that the evaluator does not measure and that there are no tables of.

    Args:
        untrained: names of the scores of untrained networks.
    """
    known = [*measures, *costs]
    for objective in objectives:
        if objective.name in untrained and objective.name not in known:
            raise UserError(
                f"--objective {objective.name} is a score of untrained networks, and here they are judged by "
                f"{', '.join(measures)}: --evaluator zero_cost --zero-cost {objective.name} searches by it, "
                f"--first-stage {objective.name} before"
            )
        if objective.name not in known:
            raise UserError(
                f"--objective {objective.name}: nothing gives it{nearest(objective.name, known)} (there are: "
                f"{', '.join(known)}; others need --lookup-table FILE.json and --info-metric)"
            )


def chosen_by(objectives: Sequence[Objective], measures: Mapping[str, bool]) -> Objective:
    """The objective that one architecture is picked by: the first that is measured, else the first one.

    Without objectives it is the first metric there is.
    """
    metric, maximise = next(iter(measures.items()))
    usual = objectives[0] if objectives else Objective(metric, maximise, True)
    return next((objective for objective in objectives if objective.measured), usual)


def single(objectives: Sequence[Objective], strategy: str) -> Objective:
    """The only objective. Raises UserError where there are several: the strategy takes one."""
    if len(objectives) != 1:
        names = ", ".join(objective.name for objective in objectives)
        raise UserError(
            f"--search-strategy {strategy} has one objective, not {len(objectives)} ({names}): "
            "nsga2, nsga3 and predictor search a front"
        )
    return objectives[0]
