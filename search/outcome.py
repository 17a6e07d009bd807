"""After a search: what is chosen, the files that say so, and the lines for people."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.files import atomic_write_text, write_sealed
from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from config_file.stages import command
from search import engine
from search.archive import Archive
from search.ledger import Ledger
from search.pareto import non_dominated
from search.preparation import Search
from search.reporting import picture, results_file, spent
from search.reporting.cell_drawing import cells_as_svg
from search.reporting.finished_search import CONFIRMED, read_search
from search.reporting.front_report import front_among, values_of, write_front
from search.reporting.predictors import as_rows
from search.reporting.report import write_report
from search.reporting.report_plots import option_colours
from search.result import Result, comparable
from search.subnet_table import FORMS, write_subnets
from supernet import Architecture, NetworkSpace
from supernet.cell_space import CellSpace
from tasks import TASKS

PARETO = "pareto_front.csv"
CELLS = "cells.svg"


def pick(search: Search, results: Sequence[Result]) -> list[Result]:
    """The results that would be chosen if all results were of one fidelity: the best one, or the front."""
    candidates = engine.allowed(results, search.problem.limits)
    if not candidates:
        return []
    judged = search.judged(candidates)
    if search.of_a_front:
        return [candidates[position] for position in non_dominated(values_of(judged, search.judges))]
    best = max(range(len(judged)), key=lambda position: search.chooses.score(judged[position]))
    return [candidates[best]]


def write_outcome(
    search: Search,
    archive: Archive,
    ledger: Ledger,
    confirmed: Mapping[Architecture, Result],
    folder: RunFolder,
    seconds: float,
) -> None:
    """Write what the search found, and say it.

    Args:
        ledger: what it has needed.
        confirmed: what was judged once more, by what nothing was selected by.
        seconds: what this session took.

    A space without sites has no costs to plot and no network to describe: it leaves tables only.

    Raises UserError where nothing was found.
    """
    folder.file("best.json").unlink(missing_ok=True)  # it says that everything else is there, and is written last
    evaluations = [engine.with_costs(result, search.problem.tables) for result in archive]
    results = search.judged(comparable(evaluations))
    compared = {(result.architecture, result.fidelity): result for result in results}
    rows = [compared.get((result.architecture, result.fidelity), result) for result in evaluations]
    table = partial(results_file.write_results, results=rows, constraint=search.problem.limits, metric=search.metric)
    table(folder.file("results.csv"), confirmed=confirmed)
    best = engine.best_of(results, search.problem.limits, search.chooses)
    if best is None:
        raise UserError(nothing_found(search, evaluations))
    about = {**how_found(search, len(evaluations)), **tested(search, best)}
    judged = confirmed.get(best.architecture)
    chosen = best, search.space, search.context.resolution, about, judged
    write_sealed(folder.file(spent.SPENT), {"format": spent.FORMAT, **ledger.record})  # its seconds are of no other run
    files = ["best.json", "results.csv", spent.SPENT, "archive.jsonl"]
    if search.problem.limits.first is not None:
        size = f" at {search.context.resolution} px" if search.context.resolution else ""
        count = quantity(len(results), "evaluation")
        title = f"{search.options.search_strategy} over {search.space.name}{size}: {count}"
        path = folder.file("accuracy_vs_cost.png")
        method = search.evaluator.method
        picture.draw_search(path, results, best, search.problem.limits, title, search.metric, method, judged)
        found = read_search(folder.path, search.options.search_space, results_file.about_best(*chosen))
        write_report(folder.file("report.html"), [found])
        on_front = results_file.on_front(rows, search.problem.limits, search.metric)
        table(folder.file(PARETO), confirmed=confirmed, only=on_front)
        files = ["best.json", "report.html", "results.csv", PARETO, spent.SPENT, path.name, "archive.jsonl"]
    folder.log()
    for line in outcome(search, best, judged, evaluations, ledger, seconds):
        folder.log(line)
    if search.correction is not None and (verdict := search.correction.verdict(comparable(evaluations))):
        folder.log(f"chosen by  {verdict}")
    if search.of_a_front:
        metrics = {name: table.metric for name, table in search.problem.tables.items()}
        inside = engine.allowed(results, search.problem.limits)
        by = None if search.correction is None else values_of(inside, search.judges)
        words = "" if search.correction is None else search.correction.words
        front = front_among(inside, search.problem.objectives, metrics, confirmed, by, words)
        write_front(folder.file("front.csv"), front, search.problem.limits)
        for what, words in front.in_words(search.space):
            folder.log(f"{what:10} {words}")
        files.append("front.csv")
    files += _drawn_cells(search, best, folder)
    if confirmed:
        files.append(CONFIRMED)
    write_table(search, results, folder)
    results_file.write_best(folder.file("best.json"), *chosen)
    folder.log(f"files      {folder.path}/: {' '.join(files)}")
    if isinstance(search.space, NetworkSpace):
        folder.log(f"next       {command('retrain', search.options)}")


def write_table(search: Search, results: Sequence[Result], folder: RunFolder) -> None:
    """Write the table for other tools, where one is asked for, and say so."""
    options = search.options
    if options.results_csv:
        write_subnets(Path(options.results_csv), FORMS[options.results_form], search.space, results)
        folder.log(f"table      {options.results_csv}: {quantity(len(results), 'subnet')} of this search")


def nothing_found(search: Search, evaluations: Sequence[Result]) -> str:
    """The reason why there is no best one."""
    if not evaluations:
        return f"no architecture was found within the limits: {' and '.join(search.problem.limits.describe())}"
    why = next((result.note for result in evaluations if result.note), "no finite loss")
    all_of = "the only evaluation" if len(evaluations) == 1 else f"all {len(evaluations):,} evaluations"
    return f"{all_of} failed ({why}){search.context.doubt}"


def _drawn_cells(search: Search, best: Result, folder: RunFolder) -> list[str]:
    """The file with the drawing of the chosen cells; none of a space without cells."""
    if not isinstance(search.space, CellSpace):
        return []
    drawn = cells_as_svg(search.space, best.architecture, option_colours(search.space))
    atomic_write_text(folder.file(CELLS), drawn)
    return [CELLS]


def tested(search: Search, best: Result) -> dict[str, float]:
    """{"test_...": the metric} where the evaluator knows what no selection may see: it is asked once, at the end."""
    test = getattr(search.evaluator, "test", None)
    value = None if test is None else test(best.architecture)
    return {} if value is None else {f"test_{search.metric.name}": float(value)}


def how_found(search: Search, evaluations: int) -> dict[str, Any]:
    """The part of `best.json` about the search."""
    options, context = search.options, search.context
    known = [context.task] if context.needs_supernet else list(TASKS.values())
    task = next((task for task in known if context.needs_supernet or task.metric in search.measures), None)
    return {
        **({} if task is None else {"task": task.name}),
        "dataset": getattr(search.evaluator, "dataset", options.dataset),
        "search": {
            "strategy": options.search_strategy,
            "info_metric": options.info_metric,
            "target_hc": options.target_hc,
            "min_hc": options.min_hc,
            "constraint": options.constraint,
            "metrics": {name: table.metric.name for name, table in search.problem.tables.items()},
            "objectives": list(map(str, search.problem.objectives)),
            "score": options.score,
            "evaluations": evaluations,
            **({"earlier": len(search.problem.earlier)} if search.problem.earlier else {}),
            "random_seed": options.random_seed,
            "evaluator": options.evaluator,
            "measures": dict(search.measures),
            "method": search.evaluator.method,
            **({"proxy": context.trained.space.describe()} if context.proxy else {}),
            **({} if search.found is None else {"first_stage": search.found.record}),
            **search.evaluator.record,
            **({"predictors": as_rows(rounds)} if (rounds := getattr(search.strategy, "rounds", None)) else {}),
        },
    }


def outcome(
    search: Search,
    best: Result,
    confirmed: Result | None,
    evaluations: Sequence[Result],
    ledger: Ledger,
    seconds: float,
) -> Iterator[str]:
    """The chosen architecture and what it took to find it, in lines; `confirmed`: as it was judged once more."""
    metric = search.metric
    failed = sum(result.failed for result in evaluations)
    architectures = len({result.architecture for result in evaluations})
    yield f"best       {' '.join(search.space.names(best.architecture))}"
    selected = f"{metric.in_words(metric.value(best))} {search.evaluator.spell(best.fidelity)}"
    best_of = f"the best of {quantity(architectures, 'architecture')} there"
    if confirmed is None:
        yield f"{metric.title:<10} {selected}, {search.evaluator.method}: {best_of}, not confirmed"
    else:
        interval = " to ".join(metric.digits(metric.shown(end)) for end in confirmed.interval or ())
        yield (
            f"{metric.title:<10} {metric.in_words(metric.value(confirmed))} on {search.evaluator.confirms} that "
            f"nothing was selected by, {search.evaluator.method}{f' (95 % interval {interval})' if interval else ''}"
        )
        yield f"selected   with {selected}: {best_of}, so optimistic"
    if best.cost:
        yield "cost       " + ", ".join(
            f"{name} {search.problem.tables[name].metric.in_words(cost)}" for name, cost in best.cost.items()
        )
    yield (
        f"effort     {quantity(len(evaluations), 'evaluation')} of {quantity(architectures, 'architecture')}"
        f"{f', {failed} of them failed' if failed else ''}, {ledger.in_words()}, {seconds:,.0f} s in this session"
    )
