"""The search loop: ask a strategy, look up or evaluate, keep, tell; until its nature, a budget or the space ends it."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from config_file.errors import UserError
from lookup_tables import CostTable
from lookup_tables.limits import Limits
from search.archive import Results
from search.evaluators.evaluator import Evaluates
from search.ledger import Ledger
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


def run(
    strategy: Strategy,
    evaluator: Evaluates,
    archive: Results,
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
    what `pick` takes from all results is evaluated at the last one (`_Loop.settle`).

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
    idle = rounds = 0
    while idle < IDLE:
        begin, at_once = _population(schedule, strategy, rounds)
        wanted = min(at_once, ledger.left, math.inf if size is None else size - len(told))
        proposals = strategy.ask(int(wanted)) if wanted > 0 else []
        if not proposals:
            break
        rounds += 1
        before = ledger.results
        rung: int | None = getattr(strategy, "rung", None)
        latest = loop.climb(proposals, begin) if rung is None else loop.stay(proposals, rung)
        told += latest
        if len(latest) < len(proposals):
            break  # the budget ended among them
        if correct is not None:
            again = correct([*loop.known.values()])
            strategy.retell(again)  # type: ignore[attr-defined] # checked before the search
            by_architecture = {result.architecture: result for result in again}
            latest = [by_architecture[result.architecture] for result in latest]
        strategy.tell(latest)
        idle = 0 if ledger.results > before else idle + len(proposals)
    loop.settle(pick)
    return [loop.known[result.architecture] for result in told]


def _population(schedule: Schedule, strategy: Strategy, number: int) -> tuple[int, int]:
    """The fidelity at which a population begins, and how many architectures are asked for."""
    bracket = getattr(schedule, "bracket", None)
    begin, count = (0, None) if bracket is None else bracket(number)
    return begin, count or getattr(strategy, "population", None) or PROPOSALS_AT_ONCE


@dataclass
class _Loop:
    """Evaluation of proposals at rising fidelities, each one once.

    known: of every architecture the result of the greatest fidelity in this search so far; what an interrupted one had
    in store does not count.
    """

    evaluator: Evaluates
    archive: Results
    tables: Mapping[str, CostTable]
    schedule: Schedule
    watch: Watch
    ledger: Ledger
    correct: Correct | None = None

    def __post_init__(self) -> None:
        self.known: dict[Architecture, Result] = {}
        self._at: list[list[Result]] = [[] for _ in self.schedule.fidelities]

    def climb(self, proposals: Sequence[Architecture], begin: int = 0) -> list[Result]:
        """Evaluate a population at the fidelity it begins at, and those that go on at the next ones.

        Earlier ones may go on with them, each once.

        Returns the latest result of each proposal, in their order; the budget may end among them.
        """
        population = proposals
        for rung in range(begin, len(self.schedule.fidelities)):
            self.evaluate(population, rung, first=rung == begin)
            results = [with_costs(result, self.tables) for result in self._found(population, rung)]
            earlier = self._at[rung]
            if self.correct is None:
                population = self.schedule.going_on(rung, results, earlier)
            else:
                both = self.correct([*earlier, *results])
                population = self.schedule.going_on(rung, both[len(earlier) :], both[: len(earlier)])
            self._at[rung] += results
            if earlier_ones := set(population).difference(result.architecture for result in results):
                there = {result.architecture for result in self._at[rung + 1]}
                population = [a for a in population if a not in earlier_ones or a not in there]
            if not population or self.ledger.used_up:
                break
        return [self.known[architecture] for architecture in proposals if architecture in self.known]

    def stay(self, proposals: Sequence[Architecture], rung: int) -> list[Result]:
        """Evaluate proposals at one fidelity; returns their results there, in their order.

        Raises:
            UserError: there is no such fidelity.
        """
        if not 0 <= rung < len(self.schedule.fidelities):
            there = len(self.schedule.fidelities)
            raise UserError(f"the strategy asks for fidelity {rung + 1} of {there}: give more of them (--fidelities)")
        self.evaluate(proposals, rung, first=True)
        found = {result.architecture: with_costs(result, self.tables) for result in self._found(proposals, rung)}
        return [found[architecture] for architecture in proposals if architecture in found]

    def settle(self, pick: Pick) -> None:
        """Evaluate what would be chosen at the last fidelity, until nothing else would be.

        Where evaluations have a price, fidelities are amounts of training: what was left behind at a lower one was
        compared there, and stays behind as soon as anything has come to the end.
        """
        last = len(self.schedule.fidelities) - 1
        end = self.schedule.fidelities[last]
        priced = getattr(self.evaluator, "price", None) is not None
        while unsure := [r.architecture for r in pick(list(self.known.values())) if r.fidelity < end]:
            if priced and any(result.fidelity == end and not result.failed for result in self.known.values()):
                break
            if not self.evaluate(unsure, last, to_the_end=True):
                break  # the budget has nothing left for it

    def evaluate(
        self, proposals: Sequence[Architecture], rung: int, first: bool = False, to_the_end: bool = False
    ) -> int:
        """Make what is not in the archive, as far as the budget goes; returns how many evaluations were made.

        Args:
            first: whether they are proposed here, not going on.
            to_the_end: evaluate even where the budget is used up, unless the price is known to exceed it.
        """
        fidelity = self.schedule.fidelities[rung]
        if first:
            self.ledger.count_repeats(proposals, fidelity)
        for result in self._found(proposals, rung):
            self.ledger.add(result)
        fresh = list(dict.fromkeys(a for a in proposals if self.archive.find(a, fidelity) is None))
        left = fresh
        while left and (to_the_end or not self.ledger.used_up) and (begun := self._affordable(left, fidelity)):
            for result in evaluated(self.evaluator, begun, fidelity):
                kept = with_costs(self._charged(result), self.tables)
                self.archive.add(kept)
                self.ledger.add(kept)
                self.watch(kept, False, first)
                if self.ledger.used_up and not to_the_end:
                    break
            left = left[len(begun) :]
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
        return len(fresh) - len(left)

    def _affordable(self, fresh: Sequence[Architecture], fidelity: Fidelity) -> Sequence[Architecture]:
        """Those at the beginning that are sure to fit into the budget; all where no price is known.

        Raises:
            UserError: not even the first evaluation of the search does.
        """
        price = getattr(self.evaluator, "price", None)
        if price is None or not self.ledger.stop.limits:
            return fresh
        expected = Counter(self.ledger.spent)
        for number, architecture in enumerate(fresh):
            costs = self._beyond_earlier(architecture, fidelity, price(architecture, fidelity))
            expected.update(costs)
            if (what := self.ledger.beyond(expected)) is None:
                continue
            if not number:
                if not self.ledger.results:
                    self.ledger.refuse(what, costs[what])
                self.ledger.closed = True
            return fresh[:number]
        return fresh

    def _charged(self, result: Result) -> Result:
        """The result with what it took beside what its architecture was charged already.

        Tables say what a fidelity takes from scratch, which goes on from what lower ones did.
        """
        if not getattr(self.evaluator, "cumulative", False):
            return result
        return replace(result, spent=self._beyond_earlier(result.architecture, result.fidelity, result.spent))

    def _beyond_earlier(
        self, architecture: Architecture, fidelity: Fidelity, spent: Mapping[str, float]
    ) -> dict[str, float]:
        """Amounts from scratch, less what lower fidelities of the same architecture were charged."""
        lower = (self.archive.find(architecture, other) for other in self.schedule.fidelities if other < fidelity)
        charged: Counter[str] = Counter()
        for result in lower:
            charged.update({} if result is None else result.spent)
        return {what: max(0, amount - charged[what]) for what, amount in spent.items()}

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
    if not tables and not result.cost:
        return result
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
