"""After a search: what it chose, and the front, judged by what nothing was selected by."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from config_file.errors import UserError
from config_file.progress import progress
from config_file.run_folder import RunFolder
from search import engine
from search.archive import Archive
from search.evaluators.evaluator import Judge
from search.pareto import front_over_cost, non_dominated
from search.preparation import Search
from search.reporting.finished_search import CONFIRMED
from search.reporting.front_report import values_of
from search.result import Result, comparable
from supernet import Architecture


def confirmations(search: Search, path: Any) -> Archive:
    """The confirmations that there are already. Raises UserError where it was confirmed by something else."""
    return Archive(path, {**search.evaluator.fingerprints, "confirmed on": search.evaluator.confirms})


def to_confirm(search: Search, evaluations: Sequence[Result]) -> list[Architecture]:
    """The architecture that would be chosen, then the front of several objectives, and that over the limited cost."""
    limits, results = search.problem.limits, search.judged(comparable(evaluations))
    best = engine.best_of(results, limits, search.chooses)
    if best is None:
        return []
    wanted, inside = [best], engine.allowed(results, limits)
    if search.of_a_front:
        wanted += [inside[position] for position in non_dominated(values_of(inside, search.judges))]
    if limits.first is not None:
        cost = np.array([result.cost[limits.first.table.name] for result in inside])
        loss = np.array([-search.metric.score(result) for result in inside])
        wanted += [inside[position] for position in front_over_cost(cost, loss)]
    return list(dict.fromkeys(result.architecture for result in wanted))


def confirm(search: Search, judge: Judge, archive: Archive, folder: RunFolder) -> dict[Architecture, Result]:
    """Judge once more what `to_confirm` says; {} where there is nothing to do it by.

    What was confirmed before an interruption is kept. Nothing is chosen anew by it: that would be a selection again.

    Raises UserError: the evaluator gives no confirmation of one.
    """
    if not search.evaluator.confirms:
        return {}
    kept = confirmations(search, folder.file(CONFIRMED))
    wanted = to_confirm(search, [engine.with_costs(result, search.problem.tables) for result in archive])
    known = {result.architecture: result for result in kept}
    fresh = [architecture for architecture in wanted if architecture not in known]
    bar: tqdm[Any] = progress(len(fresh), "confirming", "architecture")
    with bar:
        for result in judge.confirm(fresh) if fresh else ():
            known[result.architecture] = engine.with_costs(result, search.problem.tables)
            kept.add(known[result.architecture])
            bar.update()
    missing = [architecture for architecture in wanted if architecture not in known]
    if missing:
        raise UserError(f"the evaluator did not confirm {missing[0]}")
    return {architecture: known[architecture] for architecture in wanted if not known[architecture].failed}
