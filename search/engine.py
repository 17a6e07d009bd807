"""The search loop: ask a strategy, look up or evaluate, keep, tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lookup_tables import CostTable
from search.archive import Archive
from search.constraints import Constraint
from search.evaluator import Evaluator
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies import Strategy

PROPOSALS_AT_ONCE = 64  # at most; a generational strategy hands out what it has


def run(
    strategy: Strategy,
    evaluator: Evaluator,
    archive: Archive,
    tables: Mapping[str, CostTable],
    watch: Callable[[Result, bool], None] = lambda result, cached: None,
) -> list[Result]:
    """Drive `strategy` to its end; returns a result for every proposal, in the order proposed.

    What is in the archive is not evaluated again. `watch(result, cached)` is called once for each proposal. An
    interruption at any point loses no finished evaluation, and the same call continues to the identical end.
    """
    told: list[Result] = []
    while proposals := strategy.ask(PROPOSALS_AT_ONCE):
        fresh = [architecture for architecture in dict.fromkeys(proposals) if architecture not in archive]
        for result in evaluator.evaluate(fresh) if fresh else ():
            archive.add(with_costs(result, tables))
            watch(archive[result.architecture], False)
        new = set(fresh)
        for architecture in proposals:
            if architecture in new:
                new.remove(architecture)
            else:
                watch(archive[architecture], True)
        # of an archive that was filled with other tables
        results = [with_costs(archive[architecture], tables) for architecture in proposals]
        strategy.tell(results)
        told += results
    return told


def with_costs(result: Result, tables: Mapping[str, CostTable]) -> Result:
    """The result with its cost in every table's raw unit; counts are whole numbers."""
    row = np.asarray([result.architecture])
    costs = {metric: float(table.cost(row)[0]) for metric, table in tables.items()}
    return replace(result, cost={metric: int(cost) if cost.is_integer() else cost for metric, cost in costs.items()})


def best_of(results: Sequence[Result], constraint: Constraint, objective: Objective = ACCURACY) -> Result | None:
    """The most accurate one within the limits; of equals the cheaper one, then the earlier. None if all failed."""
    allowed = [result for result in results if not result.failed and constraint.allows(result.architecture)]
    if not allowed:
        return None
    return min(allowed, key=lambda result: (-objective.score(result), float(constraint.cost([result.architecture])[0])))
