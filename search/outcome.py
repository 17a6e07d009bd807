"""After a search: what is chosen, the files that say so, and the lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from config_file.errors import UserError
from config_file.run_folder import RunFolder
from config_file.stages import command, find_stage
from search import engine
from search.archive import Archive
from search.evaluators.refitted_head import weights_in_words
from search.pareto import non_dominated
from search.preparation import Search
from search.reporting import picture, results_file
from search.reporting.finished_search import read_search
from search.reporting.front_report import allowed, front_among, values_of, write_front
from search.reporting.report import write_report
from search.result import Result, comparable
from search.strategies import OF_A_FRONT, objectives_of


def pick(search: Search, results: Sequence[Result]) -> list[Result]:
    """What would be chosen if all results were on as many images: the best one, or the front."""
    objectives = objectives_of(search.options)
    candidates = allowed(results, search.constraint)
    if not candidates:
        return []
    if search.options.search_strategy in OF_A_FRONT:
        return [candidates[position] for position in non_dominated(values_of(candidates, objectives))]
    return [max(candidates, key=search.objective.score)]


def conclude(search: Search, archive: Archive, folder: RunFolder, seconds: float) -> None:
    """Write what the search found, and say it; `seconds`: what this session took.

    Raises UserError where nothing was found.
    """
    options, task = search.options, search.task
    evaluations = [engine.with_costs(result, search.tables) for result in archive]
    results_file.write_results(folder.file("results.csv"), evaluations, search.constraint, task)
    results = comparable(evaluations)
    best = engine.best_of(results, search.constraint, search.objective)
    if best is None:
        raise UserError(nothing_found(search, evaluations))
    about = how_found(search, len(evaluations))
    results_file.write_best(folder.file("best.json"), best, search.space, search.resolution, about)
    title = f"{search.title}: {len(results):,} evaluations"
    weights = weights_in_words(search.evaluator.refit_head)
    picture.draw(folder.file("accuracy_vs_cost.png"), results, best, search.constraint, title, task, weights)
    write_report(folder.file("report.html"), [read_search(folder.path, options.search_space)])
    folder.log()
    for line in outcome(search, best, evaluations, seconds):
        folder.log(line)
    files = "best.json report.html results.csv accuracy_vs_cost.png archive.jsonl"
    if options.search_strategy in OF_A_FRONT:
        front = front_among(
            allowed(results, search.constraint),
            objectives_of(options),
            {name: table.metric for name, table in search.tables.items()},
        )
        write_front(folder.file("front.csv"), front, search.constraint)
        for what, words in front.in_words():
            folder.log(f"{what:10} {words}")
        files += " front.csv"
    folder.log(f"files      {folder.path}/: {files}")
    folder.log(f"next       {command('retrain', options)}")


def nothing_found(search: Search, evaluations: Sequence[Result]) -> str:
    """Why there is no best one."""
    if not evaluations:
        return f"no architecture was found within the limits: {' and '.join(search.constraint.describe())}"
    return (
        f"all {len(evaluations):,} evaluations failed (no finite loss): was the supernet in "
        f"{find_stage(search.options, 'supernet')} trained to the end?"
    )


def how_found(search: Search, evaluations: int) -> dict[str, Any]:
    """What `best.json` says about the search."""
    options = search.options
    return {
        "task": search.task.name,
        "dataset": options.dataset,
        "search": {
            "strategy": options.search_strategy,
            "info_metric": options.info_metric,
            "target_hc": options.target_hc,
            "min_hc": options.min_hc,
            "constraint": options.constraint,
            "metrics": {name: table.metric.name for name, table in search.tables.items()},
            "objectives": [f"{o.name}:{'max' if o.maximise else 'min'}" for o in objectives_of(options)],
            "evaluations": evaluations,
            "random_seed": options.random_seed,
            "refit_head": search.evaluator.refit_head,
            "supernet_sha256": search.fingerprints["weights"],
        },
    }


def outcome(search: Search, best: Result, evaluations: Sequence[Result], seconds: float) -> Iterator[str]:
    """The chosen architecture and what it took to find it, in lines."""
    task, (low, high) = search.task, best.interval
    failed = sum(result.failed for result in evaluations)
    architectures = len({result.architecture for result in evaluations})
    weights = weights_in_words(search.evaluator.refit_head)
    yield f"best       {' '.join(search.space.names(best.architecture))}"
    yield (
        f"{task.title:<10} {task.show(best.value(task.metric))} on {best.fidelity['images']:,} validation images, "
        f"{weights} (95 % interval {100 * low:.2f} to {100 * high:.2f})"
    )
    yield "cost       " + ", ".join(
        f"{name} {search.tables[name].metric.in_words(cost)}" for name, cost in best.cost.items()
    )
    yield (
        f"effort     {len(evaluations):,} evaluations of {architectures:,} architectures"
        f"{f', {failed} of them failed' if failed else ''}, {sum(result.seconds for result in evaluations):,.0f} s of "
        f"evaluation, {seconds:,.0f} s in this session"
    )
