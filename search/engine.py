"""The search loop: ask a strategy, look up or evaluate, keep, tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lookup_tables import CostTable
from lookup_tables.limits import Limits
from search.archive import Archive
from search.budgets import ALL_ALIKE, Budgets, Ladder, Pick
from search.evaluators.supernet import Evaluator
from search.objectives import ACCURACY, Objective
from search.result import Result, comparable
from search.strategies import Strategy
from supernet import Architecture

PROPOSALS_AT_ONCE = 64  # at most; a generational strategy hands out what it has


Watch = Callable[[Result, bool, bool], None]
"""(result, whether it was known, whether it is on the first budget: once for each proposal)."""


def run(
    strategy: Strategy,
    evaluator: Evaluator,
    archive: Archive,
    tables: Mapping[str, CostTable],
    watch: Watch = lambda result, cached, first: None,
    budgets: Budgets = ALL_ALIKE,
    pick: Pick = lambda results: [],
) -> list[Result]:
    """Drive `strategy` to its end; returns a result for every proposal, in the order proposed.

    What is in the archive is not evaluated again. An interruption at any point loses no finished evaluation, and the
    same call continues to the identical end.

    With several budgets the strategy is told the result of the greatest fidelity there is in this search, and in the
    end what `pick` takes from all results is evaluated on the last budget, until it takes nothing else.
    """
    known: dict[Architecture, Result] = {}  # of this search so far: what an interrupted one had in store does not count

    def evaluate(proposals: Sequence[Architecture], rung: int) -> None:
        fidelity = budgets.fidelities[rung]
        fresh = [a for a in dict.fromkeys(proposals) if archive.find(a, fidelity) is None]
        for result in evaluator.evaluate(fresh, fidelity) if fresh else ():
            kept = with_costs(result, tables)
            archive.add(kept)
            watch(kept, False, rung == 0)
        new = set(fresh)
        for architecture in proposals:
            found = archive.find(architecture, fidelity)
            assert found is not None
            if architecture not in new:
                found = with_costs(found, tables)  # of an archive that was filled with other tables
            before = known.get(architecture, found)
            known[architecture] = found if found.fidelity >= before.fidelity else before
            if architecture in new:
                new.remove(architecture)
            else:
                watch(found, True, rung == 0)

    told: list[Result] = []
    ladder = Ladder(budgets)
    while proposals := strategy.ask(PROPOSALS_AT_ONCE):
        going_on: Sequence[Architecture] = proposals
        for rung, fidelity in enumerate(budgets.fidelities):
            evaluate(going_on, rung)
            results = [archive.find(architecture, fidelity) for architecture in dict.fromkeys(going_on)]
            going_on = ladder.better_half([result for result in results if result is not None], rung)
            if not going_on:
                break
        latest = [known[architecture] for architecture in proposals]
        strategy.tell(latest)
        told += latest
    last, most = len(budgets.fidelities) - 1, budgets.most
    while unsure := [r.architecture for r in pick(list(known.values())) if most is not None and r.fidelity < most]:
        evaluate(unsure, last)
    return [known[result.architecture] for result in told]


def with_costs(result: Result, tables: Mapping[str, CostTable]) -> Result:
    """The result with its cost in every table's raw unit; counts are whole numbers."""
    row = np.asarray([result.architecture])
    costs = {metric: float(table.cost(row)[0]) for metric, table in tables.items()}
    return replace(result, cost={metric: int(cost) if cost.is_integer() else cost for metric, cost in costs.items()})


def best_of(results: Sequence[Result], constraint: Limits, objective: Objective = ACCURACY) -> Result | None:
    """The most accurate one within the limits; of equals the cheaper one, then the earlier. None if all failed.

    Where results are of different fidelities, only those of the greatest are compared.
    """
    allowed = [result for result in results if not result.failed and constraint.allows(result.architecture)]
    if not allowed:
        return None
    return min(
        comparable(allowed),
        key=lambda result: (-objective.score(result), float(constraint.cost([result.architecture])[0])),
    )
