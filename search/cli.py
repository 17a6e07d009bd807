"""`python search.py`: from a trained supernet to the architecture that is best within the limits."""

import math
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

from tqdm import tqdm

from config_file import ranks
from config_file.loader import parse
from config_file.progress import progress
from config_file.quantity import quantity
from config_file.run_folder import RunFolder, Work, run_stage
from config_file.run_mark import continued
from config_file.stages import command, stage_path
from lookup_tables.constraint_text import with_constraints
from search import engine
from search.archive import Archive
from search.confirmation import confirm, confirmations
from search.direct_search import train_first
from search.evaluators.crew import FIRST, MAIN, Crew, hired, judge_of
from search.evaluators.evaluator import Judge
from search.foreign import FOREIGN, mf_nas
from search.ledger import Ledger
from search.objectives import Objective
from search.options import SearchOptions
from search.outcome import pick, write_outcome
from search.pareto import joined
from search.planning import estimate, long_search
from search.preparation import Search, prepare
from search.reporting.finished_search import ARCHIVE, CONFIRMED
from search.reporting.front_report import values_of
from search.reporting.predictors import as_rows, in_words
from search.result import Result
from search.runs import RUNS, read_runs, repeat
from search.strategies import needs_distribution
from search.warm_start import begin_archive, keep_earlier
from training.agreement import agree

EXAMPLES = (
    "python search.py --title first --search-strategy evolution --info-metric flops --target-hc 60",
    "python search.py --title first --search-strategy random --random-iteration 500 --target-hc 60 --plan",
    "python search.py --title mine --directly-search --epochs 60 --target-hc 60 --hc-mode constrained",
    "python search.py --title first --resume",
    "python search.py --ss nb201 --optimizer MF-NAS --dataset cifar10 --n_run 500  (as MF-NAS has it)",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the search stage; returns the exit status.

    Raises:
        UserError: an option, the supernet, the data or an archive that does not fit; no architecture within the limits.
        KeyboardInterrupt: Ctrl-C; its text says how to continue.
    """
    about = "Pick the most accurate architecture of a trained supernet."
    words = sys.argv[1:] if argv is None else argv
    with ranks.joined():
        options = parse(SearchOptions, mf_nas.command(words) or words, "search.py", about, EXAMPLES, FOREIGN.values())
        options = with_constraints(options, upper_only=needs_distribution(options.search_strategy))
        if options.directly_search:
            options = train_first(options)
        if options.plan:
            if options.resume:
                RunFolder.check(options)
            search = prepare(options)
            print("plan of search; nothing is started and nothing written")
            print("\n".join([*search.describe(), *estimate(search)]))
        else:
            search_stage(options)
    return 0


def search_stage(options: SearchOptions) -> None:
    """Run a search in its folder; of ranks the first one does, and the others evaluate for it. Raises as `main`."""
    options = continued(options)
    first = ranks.number() == 0

    def work() -> Work:
        search = prepare(options)
        agree(options, None, evaluator=dict(search.evaluator.fingerprints))
        resume = partial(check_archive, search) if first else lambda: None
        return Work(partial(run_search, search), search.describe(), resume)

    run_stage(options, work)


def check_archive(search: Search) -> None:
    """Raises UserError where the evaluations of an interrupted run cannot be continued."""
    path = stage_path(search.options)
    if search.options.runs is not None:
        read_runs(path / RUNS, search)
    if (path / ARCHIVE).is_file():
        Archive(path / ARCHIVE, search.evaluator.fingerprints)
    if search.first is not None:
        search.first.check(path)
    if (path / CONFIRMED).is_file():
        confirmations(search, path / CONFIRMED)


def run_search(search: Search, folder: RunFolder) -> None:
    """Learn what is to be learned first, evaluate what the strategy proposes, and write the outcome.

    Of ranks those after the first evaluate only. Raises KeyboardInterrupt: Ctrl-C; its text says how to continue.
    """
    evaluators: dict[str, Judge] = {MAIN: search.evaluator}
    if search.first is not None:
        evaluators[FIRST] = search.first.evaluator
    with hired(evaluators) as crew:
        if ranks.number() == 0:
            _drive(search, folder, crew)


def _drive(search: Search, folder: RunFolder, crew: Crew | None) -> None:
    if search.options.runs is not None:
        repeat(search, folder)
        return
    if search.learning is not None:
        folder.run_inside(search.learning.path.name)
    search = search.learn()
    keep_earlier(search.options, search.space, search.problem.earlier, folder)
    if known := begin_archive(folder.file(ARCHIVE), search.options.warm_start, search.evaluator.fingerprints):
        made = "made with the same weights and images: none is made again"
        folder.log(f"known      {quantity(known, 'evaluation')} of {search.options.warm_start}, {made}")
    archive = Archive(folder.file(ARCHIVE), search.evaluator.fingerprints)
    for pattern in getattr(search.evaluator, "leaves", ()):
        folder.file(pattern)
    if len(archive):
        if folder.resumed:
            folder.log(f"resumed    {kept(archive)} in {archive.path}")
        restore_metrics(search, archive, folder)
    if (line := long_search(search)) is not None:
        folder.log(line)
    started = time.perf_counter()
    try:
        with closing(search.evaluator):
            if search.first is not None:
                search = search.after(search.first.run(folder, crew))
            judge = judge_of(crew, MAIN, search.evaluator, search.options)
            ledger = evaluate_all(search, judge, archive, folder)
            confirmed = confirm(search, judge, archive, folder)
    except KeyboardInterrupt:
        again = f"{command('search', search.options)} --resume"
        raise KeyboardInterrupt(f"{kept(archive)}; continue with: {again}") from None
    write_outcome(search, archive, ledger, confirmed, folder, time.perf_counter() - started)
    if callable(finish := getattr(search.evaluator, "finish", None)):
        finish()


def kept(archive: Archive) -> str:
    """The number of evaluations in the archive, as a sentence."""
    return f"{quantity(len(archive), 'evaluation')} {'is' if len(archive) == 1 else 'are'} kept"


def restore_metrics(search: Search, archive: Archive, folder: RunFolder) -> None:
    """Write the rows of metrics that lack of what was evaluated: a process may be killed between one and the other."""
    numbers = {row["step"] for row in folder.metrics()}
    written = next((step for step in range(len(archive)) if step + 1 not in numbers), len(archive))
    folder.truncate_metrics(written)
    best: Result | None = None
    for step, result in enumerate((engine.with_costs(kept, search.problem.tables) for kept in archive), start=1):
        best = engine.best_of([result] if best is None else [best, result], search.problem.limits, search.objective)
        if step > written:
            folder.metric(step, **metrics_of(search, result, best))


def metrics_of(search: Search, result: Result, best: Result | None) -> dict[str, float]:
    """The numbers of an evaluation's row: what was measured, the best so far, the costs."""
    metric = search.metric
    found = math.nan if best is None else metric.value(best)
    return {metric.name: metric.value(result), f"best_{metric.name}": found, **result.cost}


def evaluate_all(search: Search, judge: Judge, archive: Archive, folder: RunFolder) -> Ledger:
    """Run the strategy to its end, showing progress; returns the account."""
    by, metric, last = search.objective, search.metric, search.schedule.fidelities[-1]
    kept = [engine.with_costs(result, search.problem.tables) for result in archive]
    best: Result | None = engine.best_of(kept, search.problem.limits, by)
    objectives, limit = search.problem.objectives, search.problem.limits.first
    if len(objectives) == 1 and limit is not None:
        objectives = (*objectives, Objective(limit.table.name))
    front = values_of([], objectives)
    said = 0
    bar: tqdm[Any] = progress(search.budget, "searching", "architecture")
    with bar:

        def watch(result: Result, cached: bool, first: bool) -> None:
            nonlocal best, front, said
            best = engine.best_of([result] if best is None else [best, result], search.problem.limits, by)
            bar.update(int(first))
            if result.fidelity >= last and engine.allowed([result], search.problem.limits):
                front = joined(front, values_of([result], objectives))
            if best is not None:
                found = metric.in_words(metric.value(best))
                bar.set_postfix_str(f"best {found}, front of {len(front)}", refresh=False)
            if not cached:
                rounds = getattr(search.strategy, "rounds", ())
                for row in as_rows(rounds[-1:]) if len(rounds) > said else ():
                    folder.log(f"predicted  {in_words(row, search.judges)}")
                said = len(rounds)
                folder.metric(len(archive), **metrics_of(search, result, best))

        ledger = search.ledger()
        proposals = engine.run(
            search.strategy,
            judge,
            archive,
            search.problem.tables,
            ledger=ledger,
            schedule=search.schedule,
            watch=watch,
            pick=partial(pick, search),
            correct=search.told,
        )
    made = ledger.evaluations if search.strategy.size is None else len(proposals)
    if made < search.budget:
        why = "no further architecture was found within the limits"
        if ledger.used_up:
            why = "the next evaluation would exceed the budget" if ledger.closed else "the budget is used up"
        folder.log(f"stopped    after {made:,} of {search.budget:,}: {why}")
    return ledger
