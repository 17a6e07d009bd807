"""Before a search: evaluator, tables, limits and objectives, read once and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.options import was_given
from config_file.quantity import quantity
from lookup_tables import CostTable, build_table, load_tables
from lookup_tables.constraint_text import limited
from lookup_tables.counters import OURS
from lookup_tables.limits import Limits, limits_of
from lookup_tables.network_costs import counted_costs
from search.engine import with_costs
from search.evaluators import Context, Evaluator, context_of, make_evaluator, measures_of
from search.first_stage import FirstStage, Found, prepare_first_stage
from search.ledger import Ledger, Stop
from search.objectives import Objective, check_objectives, chosen_by, parse_objectives
from search.options import SearchOptions
from search.problem import Problem
from search.proxies import SCORES
from search.rescored import Rescored, seen_by
from search.result import Result
from search.schedules import Schedule, make_schedule
from search.scores import rescored_by
from search.strategies import (
    Strategy,
    entry_of,
    make_strategy,
    needs_controller,
    needs_distribution,
    searches_front,
    takes_candidates,
    takes_warm_start,
)
from search.structure.calibration import read_trained
from search.subnet_table import check_output
from search.tabular import BENCHMARKS
from search.warm_start import earlier_results
from supernet import NetworkSpace, SearchSpace
from supernet.decisions import DecisionSpace
from supernet.metrics import counted_metrics
from supernet.space import with_sites
from training.controller_file import load_controller
from training.differentiable_search.distribution_file import FILE, load_distribution
from training.differentiable_search.frozen import FrozenLearning
from training.trainers import relaxation_of
from training.trainers.differentiable import Differentiable


@dataclass(frozen=True)
class Search:
    """Everything one search needs, ready to run.

    Attributes:
        measures: {metric: whether more is better} of the evaluator, the one that is shown first.
        prepared: the strategy, None where `learning`, on frozen weights, comes first.
        correction: scores in the place of those measured, None where these count.
        first: the first stage, None where there is none.
        found: what the first stage has come to, once it has run.
    """

    options: SearchOptions
    context: Context
    problem: Problem
    measures: Mapping[str, bool]
    prepared: Strategy | None
    learning: FrozenLearning | None
    evaluator: Evaluator
    schedule: Schedule
    correction: Rescored | None = None
    first: FirstStage | None = None
    found: Found | None = None

    @property
    def space(self) -> DecisionSpace:
        return self.problem.space

    @property
    def strategy(self) -> Strategy:
        assert self.prepared is not None, "what it proposes from is to be learnt first"
        return self.prepared

    @property
    def budget(self) -> int:
        """The greatest number of evaluations."""
        size = self.options.a_samples + 1 if self.prepared is None else self.prepared.size
        return self.options.budget_evaluations if size is None else size

    @property
    def stop(self) -> Stop:
        """The budget that the options give; --budget-evaluations is for strategies that have no size of their own."""
        evaluations = self.options.budget_evaluations if self.strategy.size is None else None
        return Stop(evaluations, epochs=self.options.budget_epochs, seconds=self.options.budget_seconds)

    def learn(self) -> Search:
        """The search once an architecture is learnt on frozen weights, where that comes first.

        Raises:
            UserError: a checkpoint to go on from does not fit, or what is learnt became NaN.
            KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint.
        """
        if self.learning is None:
            return self
        problem = replace(self.problem, distribution=self.learning.run())
        strategy = make_strategy(self.options.search_strategy, problem, self.options)
        return replace(self, problem=problem, prepared=strategy)

    def after(self, found: Found) -> Search:
        """The search that begins with what a first stage has found."""
        problem = replace(self.problem, candidates=found.candidates)
        strategy = make_strategy(self.options.search_strategy, seen_by(problem, self.told), self.options)
        return replace(self, problem=problem, prepared=strategy, found=found)

    def ledger(self) -> Ledger:
        """A new account, with what the first stage has taken of the budget."""
        before = {} if self.found is None else {"seconds": self.found.seconds}
        return Ledger(self.stop, before)

    @property
    def of_a_front(self) -> bool:
        return searches_front(self.options.search_strategy)

    @property
    def metric(self) -> Objective:
        """The metric that is shown and recorded as the score of a network."""
        return chosen_by((), self.measures)

    @property
    def objective(self) -> Objective:
        """The objective that one architecture is picked by."""
        return chosen_by(self.problem.objectives, self.measures)

    @property
    def confirmation(self) -> str:
        """The way in which what is chosen is judged once more, in words."""
        if self.evaluator.confirms:
            return f"what is chosen, and the front, on {self.evaluator.confirms} that no candidate is judged on"
        off = (
            "--confirm-images 0" if self.options.confirm_images == 0 else f"{self.evaluator.method} holds nothing back"
        )
        return f"nothing ({off}): where scores are noisy, the best of many is too good"

    @property
    def told(self) -> Rescored | None:
        """Scores that the strategy is told instead of those measured; None where it makes the same of these itself."""
        return told_by(self.options, self.correction)

    @property
    def judges(self) -> tuple[Objective, ...]:
        """The objectives that proposals are bred and chosen by, among results that are `judged`."""
        return self.problem.objectives if self.correction is None else self.correction.objectives(self.problem)

    @property
    def chooses(self) -> Objective:
        """The one of `judges` that one architecture is chosen by."""
        return chosen_by(self.judges, self.measures)

    def judged(self, results: Sequence[Result]) -> list[Result]:
        """Results of one fidelity with what they are chosen by, such as scores corrected for cost among them."""
        return list(results) if self.correction is None else self.correction(results)

    def describe(self) -> list[str]:
        """The search in lines, for people."""
        limits, space = self.problem.limits, self.space
        limit = limits.first
        pixels = f", {self.context.resolution} px" if self.context.resolution else ""
        lines = [f"space      {space.name}: {space.size:,} encodings, {len(space.sizes)} decisions{pixels}"]
        if limit is not None:
            ends = (limit.table.minimum(), limit.table.maximum())
            least, greatest = (limit.table.metric.in_words(cost) for cost, _ in ends)
            lines.append(f"range      {limit.table.name} from {least} to {greatest}")
            lines.append(f"limits     {'; '.join(limits.describe())}; {share(limits.acceptance)} of the space")
            if limits.acceptance == 1 and self.options.evaluator not in BENCHMARKS:
                default = "" if was_given(self.options, "target_hc") else ", the default,"
                lines.append(f"note       --target-hc {self.options.target_hc:g}{default} limits nothing in this space")
        return [
            *lines,
            *([f"proxy      {self.context.proxy}"] if self.context.proxy else []),
            *([] if self.first is None else [f"first      {self.first.describe()}"]),
            f"strategy   {self.options.search_strategy}, at most {quantity(self.budget, 'evaluation')}",
            f"evaluation {self.evaluator.describe(self.schedule)}",
            *([] if self.correction is None else [f"score      {self.correction.words}"]),
            f"confirmed  {self.confirmation}",
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
    if taken := [table.title for table in tables.values() if table.title in measures]:
        raise UserError(
            f"--lookup-table {taken[0]}=...: --evaluator {options.evaluator} measures that: name it otherwise"
        )
    check_objectives(objectives, measures, tables, SCORES)
    options = unlimited(options, tables, objectives)
    limits = limits_of(options, space, tables) if tables else without_limits(options, space)
    limits.check()
    check_output(options, space)
    learns = takes_warm_start(options.search_strategy)
    earlier = earlier_results(options, space, objectives) if learns else []
    trained = read_trained(Path(options.calibrate), space) if options.calibrate else {}
    problem = Problem(limits, objectives, tables, [with_costs(result, tables) for result in earlier], trained)
    learnt = needs_distribution(options.search_strategy)
    to_learn = learnt and not (context.source / FILE).is_file()
    if learnt and not to_learn:
        problem = replace(problem, distribution=load_distribution(context.source, context.trained.space))
    if needs_controller(options.search_strategy):
        problem = replace(problem, controller=load_controller(context.source, context.trained.space))
    correction = rescored_by(options, problem, measures, context)
    evaluator = make_evaluator(options.evaluator, context)
    judges = seen_by(problem, correction).objectives
    schedule = make_schedule(options.schedule, evaluator.fidelities, chosen_by(judges, measures), options)
    problem = replace(problem, rungs=len(schedule.fidelities))
    told = told_by(options, correction)
    seen = standing_in(seen_by(problem, told), options)
    strategy = None if to_learn else make_strategy(options.search_strategy, seen, options)
    if told is not None and strategy is not None:
        check_retold(options.search_strategy, strategy, options.score)
    check_budget(options, sized=strategy is None or strategy.size is not None)
    if was_given(options, "confirm_images") and options.confirm_images and not evaluator.confirms:
        raise UserError(f"--confirm-images: {evaluator.method} holds nothing back that could confirm a network")
    learning = None
    if to_learn:
        supernet = context.trained.supernet.to(context.device)
        weights = context.trained.info["sha256"]
        relaxation = relaxation_of(options.sample_strategy) or Differentiable.relaxation
        data = replace(context.data, val=context.validation[0]) if context.confirm_images else context.data
        learning = FrozenLearning(options, supernet, weights, data, context.device, tables, relaxation)
    first = prepare_first_stage(options, context, evaluator, problem)
    return Search(options, context, problem, measures, strategy, learning, evaluator, schedule, correction, first)


def standing_in(problem: Problem, options: SearchOptions) -> Problem:
    """The problem with random candidates where a first stage will find better ones: options are checked before that.

    Raises UserError for a first stage before a strategy that does not begin with candidates.
    """
    if options.first_stage is None:
        return problem
    if not takes_candidates(options.search_strategy):
        raise UserError(f"--first-stage: --search-strategy {options.search_strategy} does not begin with candidates")
    return replace(problem, candidates=problem.limits.sample_distinct(Random(0), options.first_best))


def told_by(options: SearchOptions, correction: Rescored | None) -> Rescored | None:
    """The scores that a strategy is told, which it is not where it makes them itself."""
    own = getattr(entry_of(options.search_strategy), "score", None)
    return None if own == options.score else correction


def check_retold(name: str, strategy: Strategy, score: str | None) -> None:
    """Raises UserError for a strategy that cannot be told anew what it remembers."""
    if not hasattr(strategy, "retell"):
        raise UserError(f"--score {score}: --search-strategy {name} takes no scores that change afterwards")
    try:
        strategy.retell([])
    except UserError as error:
        raise UserError(f"--score {score}: {error}") from None


def check_budget(options: SearchOptions, sized: bool) -> None:
    """Raises UserError for --budget-evaluations where a strategy with a size of its own (`sized`) would ignore it.

    A saved file gives all options; what is the default there is not meant.
    """
    default = options_of(type(options))["budget_evaluations"].default
    if sized and was_given(options, "budget_evaluations") and options.budget_evaluations != default:
        part = getattr(entry_of(options.search_strategy), "Options", None)
        own = f" ({', '.join(spec.flag for spec in options_of(part).values())})" if part is not None else ""
        raise UserError(
            f"--budget-evaluations does not count with --search-strategy {options.search_strategy}: how many it "
            f"evaluates follows from its own options{own}"
        )


def objectives_of(options: SearchOptions, measures: Mapping[str, bool]) -> tuple[Objective, ...]:
    """The objectives of the search: the first metric unless told otherwise, and for a front the limited cost."""
    if options.objective or not searches_front(options.search_strategy):
        return parse_objectives(options.objective, measures)
    return *parse_objectives(None, measures), Objective(options.info_metric)


def tables_for(
    options: SearchOptions, space: DecisionSpace, resolution: int, objectives: tuple[Objective, ...]
) -> dict[str, CostTable]:
    """The costs that every evaluation is recorded with: counts, and the tables of --lookup-table.

    A space without sites has no costs. Raises UserError for a table that does not fit, or one that nothing asks for: a
    name says that it is meant.
    """
    if not isinstance(space, NetworkSpace):
        return {}
    if not isinstance(space, SearchSpace):
        if options.lookup_table or options.counter != OURS:
            with_sites(space)
        return counted_costs(space, resolution)
    given = load_tables(options.lookup_table, space, resolution)
    used = {*limited(options), *(objective.name for objective in objectives)}
    for name, table in given.items():
        if name not in used and table.title is None:
            raise UserError(
                f"--lookup-table holds {name}, not {options.info_metric}; if it is only to be recorded, name it, as in "
                "mine=FILE.json"
            )
    counters = {metric.name: OURS for metric in counted_metrics()}
    if options.info_metric in counters:
        counters[options.info_metric] = options.counter
    return {name: build_table(space, name, resolution, counter) for name, counter in counters.items()} | given


def unlimited(options: SearchOptions, tables: Mapping[str, CostTable], over: Sequence[Objective]) -> SearchOptions:
    """The options; without --target-hc that is the greatest cost there is, where no limit is what is meant.

    So with a benchmark's table, as all that is published of one is of all its networks, and for a front over that cost.
    """
    table = tables.get(options.info_metric)
    over_it = len(over) > 1 and any(objective.name == options.info_metric for objective in over)
    if was_given(options, "target_hc") or table is None or not (options.evaluator in BENCHMARKS or over_it):
        return options
    return replace(options, target_hc=table.maximum()[0] / table.metric.per_flag * (1 + 1e-12))


def without_limits(options: SearchOptions, space: DecisionSpace) -> Limits:
    """All of a space that has no costs. Raises UserError where a limit is asked for."""
    for name in ("target_hc", "min_hc", "constraint", "lookup_table", "info_metric"):
        if was_given(options, name):
            raise UserError(f"--{name.replace('_', '-')}: nothing says what an architecture of {space.name} costs")
    return Limits(space)


def share(fraction: float) -> str:
    """A share of a space in words."""
    if fraction == 1:
        return "all"
    return f"about {100 * fraction:.2g} %" if fraction > 0 else "less than 0.002 %"
