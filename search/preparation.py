"""Before a search: evaluator, tables, limits and objectives, read once and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from config_file.errors import UserError
from lookup_tables import CostTable, build_table, load_tables
from lookup_tables.counters import OURS
from lookup_tables.limits import Limits, limited, limits_of
from search.engine import Stop
from search.evaluators import Context, Evaluator, context_of, make_evaluator, measures_of
from search.objectives import Objective, check_objectives, chosen_by, parse_objectives
from search.options import SearchOptions
from search.schedules import Schedule, make_schedule
from search.strategies import OF_A_FRONT, Strategy, make_differentiable, make_strategy
from supernet import SearchSpace
from supernet.decisions import DecisionSpace
from supernet.metrics import counted_metrics
from training.differentiable_search.distribution_file import FILE
from training.differentiable_search.frozen import FrozenLearning


@dataclass(frozen=True)
class Search:
    """Everything one search needs, ready to run.

    Attributes:
        context: what the evaluator was made in.
        measures: {metric: whether more is better} of the evaluator, the one that is shown first.
        prepared: the strategy, None where `learning` comes first.
        learning: what an architecture is learnt by on frozen weights, where it is.
    """

    options: SearchOptions
    context: Context
    tables: Mapping[str, CostTable]
    constraint: Limits
    measures: Mapping[str, bool]
    objectives: tuple[Objective, ...]
    prepared: Strategy | None
    learning: FrozenLearning | None
    evaluator: Evaluator
    schedule: Schedule

    @property
    def space(self) -> DecisionSpace:
        """The architectures there are."""
        return self.constraint.space

    @property
    def strategy(self) -> Strategy:
        """What proposes architectures."""
        assert self.prepared is not None, "what it proposes from is to be learnt first"
        return self.prepared

    @property
    def budget(self) -> int | None:
        """The greatest number of evaluations, None if not known beforehand."""
        size = self.options.a_samples + 1 if self.prepared is None else self.prepared.budget
        known = [number for number in (size, self.stop.evaluations) if number is not None]
        return min(known, default=None)

    @property
    def stop(self) -> Stop:
        """The budget that the options give."""
        return Stop(epochs=self.options.max_epochs, seconds=self.options.max_seconds)

    def learn(self) -> Search:
        """The search once an architecture is learnt on frozen weights, where that comes first.

        Raises:
            UserError: a checkpoint to go on from does not fit, or what is learnt became NaN.
            KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint.
        """
        if self.learning is None or self.prepared is not None:
            return self
        return replace(self, prepared=make_differentiable(self.constraint, self.options, self.learning.run()))

    @property
    def title(self) -> str:
        size = f" at {self.context.resolution} px" if self.context.resolution else ""
        return f"{self.options.search_strategy} over {self.space.name}{size}"

    @property
    def of_a_front(self) -> bool:
        """Whether a front is searched for."""
        return self.options.search_strategy in OF_A_FRONT

    @property
    def metric(self) -> Objective:
        """The metric that is shown and recorded as the score of a network."""
        return chosen_by((), self.measures)

    @property
    def objective(self) -> Objective:
        """What one architecture is picked by."""
        return chosen_by(self.objectives, self.measures)

    def describe(self) -> list[str]:
        """What will run, for people."""
        limit, space, most = self.constraint.first, self.space, self.budget
        pixels = f", {self.context.resolution} px" if self.context.resolution else ""
        lines = [f"space      {space.name}: {space.size:,} encodings, {len(space.sizes)} decisions{pixels}"]
        if limit is not None:
            ends = (limit.table.minimum(), limit.table.maximum())
            least, greatest = (limit.table.metric.in_words(cost) for cost, _ in ends)
            lines.append(f"range      {limit.table.name} from {least} to {greatest}")
            allowed = "; ".join(self.constraint.describe())
            lines.append(f"limits     {allowed}; {share(self.constraint.acceptance)} of the space")
        budget = "as many evaluations as it asks for" if most is None else f"at most {most:,} evaluations"
        return [
            *lines,
            f"strategy   {self.options.search_strategy}, {budget}",
            f"evaluation {self.evaluator.describe(self.schedule)}",
        ]


def prepare(options: SearchOptions) -> Search:
    """Read what evaluates and its data, build the tables, and find out whether the limits can be met.

    Raises UserError for anything that does not fit.
    """
    context = context_of(options.evaluator, options)
    measures = measures_of(options.evaluator, context)
    space = context.space
    objectives = objectives_of(options, measures)
    options = replace(options, objective=",".join(map(str, objectives)))
    tables = tables_for(options, space, context.resolution, objectives)
    check_objectives(objectives, measures, tables)
    constraint = limits_of(options, space, tables) if tables else Limits(space)
    constraint.check()
    to_learn = options.search_strategy == "differentiable" and not (context.source / FILE).is_file()
    strategy = None if to_learn else make_strategy(options.search_strategy, constraint, options)
    evaluator = make_evaluator(options.evaluator, context)
    learning = None
    if to_learn:
        supernet = context.trained.supernet.to(context.device)
        weights = context.trained.info["sha256"]
        learning = FrozenLearning(options, supernet, weights, context.data, context.device, tables)
    schedule = make_schedule(evaluator.fidelities, chosen_by(objectives, measures))
    return Search(options, context, tables, constraint, measures, objectives, strategy, learning, evaluator, schedule)


def objectives_of(options: SearchOptions, measures: Mapping[str, bool]) -> tuple[Objective, ...]:
    """What the search optimises: the first metric unless told otherwise, and for a front the limited cost."""
    if options.objective or options.search_strategy not in OF_A_FRONT:
        return parse_objectives(options.objective, measures)
    return *parse_objectives(None, measures), Objective(options.info_metric)


def tables_for(
    options: SearchOptions, space: DecisionSpace, resolution: int, objectives: tuple[Objective, ...]
) -> dict[str, CostTable]:
    """What every evaluation is recorded with: counts, and the tables of --lookup-table.

    A space without sites has no costs. Raises UserError for a table that does not fit, or one that nothing asks for: a
    name says that it is meant.
    """
    if not isinstance(space, SearchSpace):
        return {}
    given = load_tables(options.lookup_table, space, resolution)
    used = {*limited(options), *(objective.name for objective in objectives)}
    for name, table in given.items():
        if name not in used and table.title is None:
            raise UserError(
                f"--lookup-table holds {name}, not {options.info_metric}; if it is only to be recorded, name it: "
                f"{name}=FILE.json"
            )
    counted = {}
    for name in (metric.name for metric in counted_metrics()):
        counter = options.counter if name == options.info_metric else OURS
        counted[name] = build_table(space, name, resolution, counter)
    return counted | given


def share(fraction: float) -> str:
    """A share of a space in words."""
    if fraction == 1:
        return "all"
    return f"about {100 * fraction:.2g} %" if fraction > 0 else "less than 0.002 %"
