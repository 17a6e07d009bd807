"""The search loop: ask a strategy, look up or evaluate, keep, tell; until its nature, a budget or the space ends it."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from config_file.errors import UserError
from lookup_tables import CostTable
from lookup_tables.limits import Limits
from search.archive import Archive
from search.evaluators.evaluator import Evaluates
from search.objectives import ACCURACY, Objective
from search.result import Fidelity, Result, comparable
from search.schedules import AT_ONCE, Schedule
from search.strategies import Strategy
from supernet import Architecture

PROPOSALS_AT_ONCE = 64  # at most; a generational strategy hands out what it has
IDLE = 10_000
"""Proposals one after another, all known, after which a strategy has nothing left to find."""

Watch = Callable[[Result, bool, bool], None]
"""(result, whether it was known, whether it is at the first fidelity: once for each proposal)."""

Pick = Callable[[Sequence[Result]], Sequence[Result]]
"""The results that a search would choose if it ended here."""


Correct = Callable[[Sequence[Result]], list[Result]]
"""The same results with scores that depend on all of them, such as ranks."""


@dataclass(frozen=True)
class Stop:
    """The budget of a search: architectures, epochs of training and seconds of evaluation; None: no limit.

    With epochs or seconds the evaluation that uses up the last of them is the last one.
    """

    evaluations: int | None = None
    epochs: float | None = None
    seconds: float | None = None


class Ledger:
    """The account of a search: what it has needed so far.

    A result counts when the search meets it for the first time, whether it was evaluated now or before an
    interruption: a resumed search counts the same and ends the same. What it has met before is free.
    """

    def __init__(self, stop: Stop | None = None) -> None:
        self.stop = stop or Stop()
        self.spent: Counter[str] = Counter()
        self._met: set[tuple[Architecture, Fidelity]] = set()
        self._architectures: set[Architecture] = set()

    @property
    def evaluations(self) -> int:
        """Architectures; one that was evaluated at several fidelities is one."""
        return len(self._architectures)

    @property
    def left(self) -> float:
        """Architectures that may still be evaluated."""
        most = self.stop.evaluations
        return 0 if self.used_up else math.inf if most is None else max(0, most - self.evaluations)

    @property
    def used_up(self) -> bool:
        """True where no evaluation may follow, not even of an architecture that counts already."""
        limits = {"epochs": self.stop.epochs, "seconds": self.stop.seconds}
        return any(most is not None and self.spent[what] >= most for what, most in limits.items())

    def add(self, result: Result) -> None:
        """Count a result unless the search has met it before."""
        key = result.architecture, result.fidelity
        if key not in self._met:
            self._met.add(key)
            self._architectures.add(result.architecture)
            self.spent.update(result.spent)


def run(
    strategy: Strategy,
    evaluator: Evaluates,
    archive: Archive,
    tables: Mapping[str, CostTable],
    *,
    ledger: Ledger | None = None,
    schedule: Schedule = AT_ONCE,
    watch: Watch = lambda result, cached, first: None,
    pick: Pick = lambda results: [],
    correct: Correct | None = None,
) -> list[Result]:
    """Drive `strategy` to its end, or that of its budget; returns a result for every proposal, in the order proposed.

    What is in the archive is not evaluated again. An interruption at any point loses no finished evaluation, and the
    same call continues to the identical end.

    With several fidelities the strategy is told the result of the greatest one there is in this search, and in the end
    what `pick` takes from all results is evaluated at the last one, until it takes nothing else.

    Args:
        strategy, evaluator, archive: propose, score and keep.
        tables: of the costs that results are recorded with, by name.
        ledger: counts, and ends the search; none: the strategy ends it.
        schedule, watch, pick: see there.
        correct: scores that depend on each other: the strategy is told all of them again before it is told new ones.

    Raises:
        UserError: the evaluator gives no result of an architecture, or one at another fidelity than was asked for.
    """
    ledger = Ledger() if ledger is None else ledger
    loop = _Loop(evaluator, archive, tables, schedule, watch, ledger, correct)
    size = getattr(strategy, "size", None)
    told: list[Result] = []
    idle = 0
    while idle < IDLE:
        wanted = min(PROPOSALS_AT_ONCE, ledger.left, math.inf if size is None else size - len(told))
        proposals = strategy.ask(int(wanted)) if wanted > 0 else []
        if not proposals:
            break
        before = ledger.evaluations
        loop.climb(proposals)
        latest = [loop.known[architecture] for architecture in proposals if architecture in loop.known]
        told += latest
        if len(latest) < len(proposals):
            break  # the budget ended among them
        if correct is not None:
            again = correct([*loop.known.values()])
            strategy.retell(again)  # type: ignore[attr-defined] # checked before the search
            by_architecture = {result.architecture: result for result in again}
            latest = [by_architecture[result.architecture] for result in latest]
        strategy.tell(latest)
        idle = 0 if ledger.evaluations > before else idle + len(proposals)
    last = len(schedule.fidelities) - 1
    while unsure := [r.architecture for r in pick(list(loop.known.values())) if r.fidelity < schedule.fidelities[last]]:
        loop.evaluate(unsure, last, to_the_end=True)
    return [loop.known[result.architecture] for result in told]


@dataclass
class _Loop:
    """Evaluation of proposals at rising fidelities, each one once.

    known: of every architecture the result of the greatest fidelity in this search so far; what an interrupted one had
    in store does not count.
    """

    evaluator: Evaluates
    archive: Archive
    tables: Mapping[str, CostTable]
    schedule: Schedule
    watch: Watch
    ledger: Ledger
    correct: Correct | None = None

    def __post_init__(self) -> None:
        self.known: dict[Architecture, Result] = {}
        self._at: list[list[Result]] = [[] for _ in self.schedule.fidelities]

    def climb(self, proposals: Sequence[Architecture]) -> None:
        """Evaluate a population at the first fidelity, and those that go on at the next ones."""
        for rung in range(len(self.schedule.fidelities)):
            self.evaluate(proposals, rung)
            results = [with_costs(result, self.tables) for result in self._found(proposals, rung)]
            earlier = self._at[rung]
            if self.correct is None:
                proposals = self.schedule.going_on(rung, results, earlier)
            else:
                both = self.correct([*earlier, *results])
                proposals = self.schedule.going_on(rung, both[len(earlier) :], both[: len(earlier)])
            self._at[rung] += results
            if not proposals or self.ledger.used_up:
                return

    def evaluate(self, proposals: Sequence[Architecture], rung: int, to_the_end: bool = False) -> None:
        """Make what is not in the archive, unless the budget is used up before (`to_the_end`: in any case)."""
        fidelity, first = self.schedule.fidelities[rung], rung == 0
        for result in self._found(proposals, rung):
            self.ledger.add(result)
        fresh = list(dict.fromkeys(a for a in proposals if self.archive.find(a, fidelity) is None))
        if fresh and (to_the_end or not self.ledger.used_up):
            for result in evaluated(self.evaluator, fresh, fidelity):
                kept = with_costs(result, self.tables)
                self.archive.add(kept)
                self.ledger.add(kept)
                self.watch(kept, False, first)
                if self.ledger.used_up and not to_the_end:
                    break
        new = set(fresh)
        for architecture in proposals:
            found = self.archive.find(architecture, fidelity)
            if found is None:
                continue
            if architecture not in new:
                found = with_costs(found, self.tables)  # of an archive that was filled with other tables
            before = self.known.get(architecture, found)
            self.known[architecture] = found if found.fidelity >= before.fidelity else before
            if architecture in new:
                new.remove(architecture)
            else:
                self.watch(found, True, first)

    def _found(self, proposals: Sequence[Architecture], rung: int) -> list[Result]:
        """Of distinct architectures what the archive has at that fidelity."""
        fidelity = self.schedule.fidelities[rung]
        found = (self.archive.find(architecture, fidelity) for architecture in dict.fromkeys(proposals))
        return [result for result in found if result is not None]


def evaluated(evaluator: Evaluates, architectures: Sequence[Architecture], fidelity: Fidelity) -> Iterator[Result]:
    """The results of an evaluator. Raises UserError where there is none of an architecture, or another fidelity."""
    missing = dict.fromkeys(architectures)
    for result in evaluator.evaluate(architectures, fidelity):
        if result.fidelity != fidelity:
            raise UserError(f"the evaluator was asked for {fidelity!r} and gave {result.fidelity!r}")
        missing.pop(result.architecture, None)
        yield result
    if missing:
        raise UserError(f"the evaluator gave no result of {next(iter(missing))}")


def with_costs(result: Result, tables: Mapping[str, CostTable]) -> Result:
    """The result with its cost in every table's raw unit; counts are whole numbers."""
    row = np.asarray([result.architecture])
    costs = {metric: float(table.cost(row)[0]) for metric, table in tables.items()}
    return replace(result, cost={metric: int(cost) if cost.is_integer() else cost for metric, cost in costs.items()})


def allowed(results: Iterable[Result], constraint: Limits) -> list[Result]:
    """The evaluations to choose among: those that succeeded, within the limits."""
    return [result for result in results if not result.failed and constraint.allows(result.architecture)]


def best_of(results: Sequence[Result], constraint: Limits, objective: Objective = ACCURACY) -> Result | None:
    """The most accurate one within the limits; of equals the cheaper one, then the earlier. None if all failed.

    Where results are of different fidelities, only those of the greatest are compared.
    """
    return min(
        comparable(allowed(results, constraint)),
        key=lambda result: (-objective.score(result), float(constraint.cost([result.architecture])[0])),
        default=None,
    )
