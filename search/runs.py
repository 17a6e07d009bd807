"""`python search.py --runs N`: a search on the table of a benchmark again and again, each time with another seed.

A run is what a single search with its seed would be: the same first stage, strategy, schedule and ledger. What makes
hundreds of them take seconds is that nothing is written in between, and that a local search of the first stage walks
over its scores at once (`LocalSearch.look_up`) instead of being asked and told.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.files import append_sealed, atomic_write_text, mend_jsonl
from config_file.options import in_use
from config_file.progress import progress
from config_file.readers.form import check_form
from config_file.readers.json_text import check_format, read_sealed_jsonl
from config_file.readers.numbers import number_in
from config_file.run_folder import RunFolder
from config_file.run_options import RunOptions
from config_file.stages import command
from search import engine
from search.archive import Archive, Results
from search.evaluators.table import TableEvaluator
from search.first_stage import ARCHIVE, FirstStage, Found
from search.ledger import Ledger, Stop
from search.outcome import how_found, pick, tested
from search.preparation import Search
from search.reporting import results_file
from search.rescored import seen_by
from search.result import FULL, Result, comparable
from search.strategies import make_strategy
from search.strategies.local_search import LocalSearch
from supernet import Architecture, NetworkSpace

RUNS = "runs.jsonl"
FORMAT = "oneshot-nas runs 1"
_ROW = {"seed": int, "best": dict, "test": (float, None), "spent": {...: float}, "evaluations": int, "repeats": int}


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        seed: of everything random in it.
        best: the result that was chosen, by validation.
        test: its metric on what no search sees, looked up once; None where the table has none.
        spent: what the search took, its first stage included.
        evaluations, repeats: architectures that were evaluated, and proposals that were known and free.
    """

    seed: int
    best: Result
    test: float | None
    spent: Mapping[str, float]
    evaluations: int
    repeats: int

    def to_row(self) -> dict[str, Any]:
        """A JSON object."""
        return {**vars(self), "best": self.best.to_row(), "spent": dict(self.spent)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any], where: str) -> Run:
        """Raises UserError, which begins with `where`, if the row is not one that `to_row` wrote."""
        check_form(row, _ROW, where)
        for name, amount in row["spent"].items():
            number_in(amount, f"{where}: spent.{name}", at_least=0)
        return cls(**{name: row[name] for name in _ROW} | {"best": Result.from_row(row["best"], where)})


class Known(dict[Architecture, float]):
    """Scores of the first stages, greater is better, each looked up or made when it is first asked for.

    Args:
        stage: whose evaluator makes them.
        results: where they are kept.
    """

    def __init__(self, stage: FirstStage, results: Results) -> None:
        super().__init__()
        self._by, self._evaluator = stage.problem.objectives[0], stage.evaluator
        self._fidelity = getattr(stage.evaluator, "fidelities", (FULL,))[-1]
        self.results = results
        self._made: dict[Architecture, Result] = {}

    def results_of(self, architectures: Sequence[Architecture]) -> list[Result]:
        """The results behind scores, also of what a walk has met at its end and not looked at any more."""
        for architecture in architectures:
            if architecture not in self:
                self[architecture]
        made = self._made
        return [made[architecture] for architecture in architectures]

    def __missing__(self, architecture: Architecture) -> float:
        result = self.results.find(architecture, self._fidelity)
        if result is None:
            (result,) = engine.evaluated(self._evaluator, [architecture], self._fidelity)
            self.results.add(result)
        self._made[architecture] = result
        self[architecture] = score = -math.inf if result.failed else self._by.score(result)
        return score


class FirstStages:
    """The first stages of many runs, which share what they score; each is charged all that it has met.

    Args:
        stage: as a single search has it.
        folder: scores that a table does not hold are made, and kept there.
    """

    def __init__(self, stage: FirstStage, folder: RunFolder) -> None:
        self._stage = stage
        table = isinstance(stage.evaluator, TableEvaluator)
        kept = Results() if table else Archive(folder.file(ARCHIVE), stage.evaluator.fingerprints)
        self._known = Known(stage, kept)

    def found(self, seed: int) -> Found:
        """The outcome with a seed. Raises UserError as `FirstStage.hand_over`."""
        stage, known = self._stage, self._known
        strategy = stage.strategy_of(seed)
        most, budget = stage.options.first_evaluations, stage.options.budget_seconds
        if isinstance(strategy, LocalSearch) and strategy.alone and stage.correct is None:
            results = known.results_of(strategy.look_up(known, most))
            seconds = sum([result.spent.get("seconds", 0.0) for result in results])
            if budget is None or seconds < budget:
                return stage.hand_over(strategy, results, seconds, seed)
        ledger = Ledger(Stop(most, seconds=budget))
        strategy = stage.strategy_of(seed)
        results = engine.run(strategy, stage.evaluator, known.results, {}, ledger=ledger, correct=stage.correct)
        return stage.hand_over(strategy, results, ledger.spent["seconds"], seed)


def repeat(search: Search, folder: RunFolder) -> None:
    """Make the runs that are not there yet, and write what all of them came to.

    Raises:
        UserError: it is no search on a table, or of a front, or one finds nothing.
        KeyboardInterrupt: Ctrl-C; its text says how to continue.
    """
    options, path = search.options, folder.file(RUNS)
    wanted = int(options.runs or 0)
    check(search)
    runs = read_runs(path, search)
    mend_jsonl(path)
    if not path.exists() or not path.stat().st_size:
        append_sealed(path, {"format": FORMAT, "depends": depends(search)})
    if runs:
        folder.log(f"resumed    {len(runs):,} runs are kept in {path}")
    first = None if search.first is None else FirstStages(search.first, folder)
    bar: tqdm[Any] = progress(wanted, "searching", "run")
    bar.update(len(runs))
    try:
        with bar:
            for number in range(len(runs), wanted):
                runs.append(one(search, options.random_seed + number, first))
                append_sealed(path, runs[-1].to_row())
                bar.update()
    except KeyboardInterrupt:
        again = f"{command('search', options)} --resume"
        raise KeyboardInterrupt(f"{len(runs):,} runs are kept; continue with: {again}") from None
    write(search, runs[:wanted], folder)


def check(search: Search) -> None:
    """Raises UserError where a search cannot be repeated."""
    if not hasattr(search.evaluator, "benchmark"):
        raise UserError(
            f"--runs repeats a search on the table of a benchmark (--evaluator nasbench201, ...), not with "
            f"--evaluator {search.options.evaluator}"
        )
    if search.of_a_front or search.learning is not None:
        raise UserError(f"--runs is for strategies that pick one architecture, not {search.options.search_strategy}")
    if search.options.workers > 1:
        raise UserError("--runs looks everything up in one process: no --workers")


def one(search: Search, seed: int, first: FirstStages | None) -> Run:
    """A search with its seed. Raises UserError where nothing was found."""
    options, problem, before = search.options, search.problem, {}
    if first is not None:
        found = first.found(seed)
        problem, before = replace(problem, candidates=found.candidates), {"seconds": found.seconds}
    strategy = make_strategy(options.search_strategy, seen_by(problem, search.told), options, seed)
    ledger, results = Ledger(replace(search, prepared=strategy).stop, before), Results()
    engine.run(
        strategy,
        search.evaluator,
        results,
        {} if costless(search) else problem.tables,
        ledger=ledger,
        schedule=search.schedule,
        pick=partial(pick, search),
        correct=search.told,
    )
    best = engine.best_of(search.judged(comparable(results)), problem.limits, search.chooses)
    if best is None:
        raise UserError(f"run with seed {seed}: nothing was found within the limits and the budget")
    test = tested(search, best).get(f"test_{search.metric.name}")
    spent = {what: float(amount) for what, amount in ledger.spent.items()}
    return Run(seed, engine.with_costs(best, problem.tables), test, spent, ledger.evaluations, ledger.repeats)


def costless(search: Search) -> bool:
    """True where no result needs its costs: these are looked up for what is chosen only, as they take the most time."""
    return search.correction is None and all(objective.measured for objective in search.problem.objectives)


# ---- files


def depends(search: Search) -> dict[str, Any]:
    """{what: JSON value} on which every run depends: the table, and the options of what searches it."""
    means = {name for name, spec in options_of(RunOptions).items() if not spec.decides} | {"runs"}
    used = {name: spec for name, spec in in_use(search.options).items() if spec.saved and name not in means}
    first = {} if search.first is None else search.first.evaluator.fingerprints
    return {
        "evaluator": dict(search.evaluator.fingerprints),
        "first stage": dict(first),
        "options": {name: getattr(search.options, name) for name in used},
    }


def kept_runs(path: Path) -> tuple[dict[str, Any] | None, list[Run]]:
    """The dependences and the runs in a file; None and no runs where it has not even a header.

    Raises:
        UserError: it is damaged or of another kind; the line is named.
    """
    rows = read_sealed_jsonl(path)
    if not rows:
        return None, []
    check_format(rows[0].get("format"), FORMAT, path)
    check_form(rows[0], {"depends": {"options": dict}}, path)
    return rows[0]["depends"], [Run.from_row(row, f"{path}, line {line}") for line, row in enumerate(rows[1:], start=2)]


def read_runs(path: Path, search: Search) -> list[Run]:
    """The runs to go on from; none where there is no file. Raises UserError where they depend on something else."""
    then, runs = kept_runs(path)
    if then is None:
        return []
    now = depends(search)
    if json.dumps(now) != json.dumps(then):
        before, asked = then["options"], now["options"]
        named = [name for name, value in asked.items() if json.dumps(before.get(name)) != json.dumps(value)]
        differ = [what for what in now if json.dumps(now[what]) != json.dumps(then.get(what))]
        what = ", ".join(f"--{name.replace('_', '-')}" for name in named) or ", ".join(differ)
        raise UserError(f"{path}: its runs cannot be continued, they were made with another {what} (--overwrite anew)")
    if [run.seed for run in runs] != [search.options.random_seed + number for number in range(len(runs))]:
        raise UserError(f"{path}: its runs are not those of the seeds from {search.options.random_seed} on")
    return runs


def write(search: Search, runs: Sequence[Run], folder: RunFolder) -> None:
    """Write all runs, the best of them as `best.json`, and say what they came to."""
    folder.file("best.json").unlink(missing_ok=True)  # it says that everything else is there, and is written last
    atomic_write_text(folder.file("runs.csv"), table_of(search, runs))
    best = engine.best_of(comparable([run.best for run in runs]), search.problem.limits, search.chooses)
    assert best is not None, "every run has found something"
    summary = {name: {"mean": mean, "std": std} for name, (mean, std) in summed_up(search, runs).items()}
    about = how_found(search, sum(run.evaluations for run in runs)) | tested(search, best)
    about["search"]["runs"] = {"count": len(runs), **summary}
    folder.log()
    for line in in_words(search, runs):
        folder.log(line)
    chosen = best, search.space, search.context.resolution, about, None
    results_file.write_best(folder.file("best.json"), *chosen)
    scored = f" {ARCHIVE}" if (folder.path / ARCHIVE).is_file() else ""
    folder.log(f"files      {folder.path}/: best.json (of the best run by validation) runs.csv {RUNS}{scored}")
    if isinstance(search.space, NetworkSpace):
        folder.log(f"next       {command('retrain', search.options)}")


def table_of(search: Search, runs: Sequence[Run]) -> str:
    """The runs as CSV: a row for each."""
    metric, text = search.metric.name, io.StringIO()
    spent = list(dict.fromkeys(what for run in runs for what in run.spent))
    amounts = [results_file.amount_column(name) for name in dict.fromkeys(n for run in runs for n in run.best.fidelity)]
    table = csv.writer(text, lineterminator="\n")
    counts = ["evaluations", "repeats"]
    table.writerow(["seed", metric, f"test_{metric}", *amounts, *spent, *counts, "indices", "architecture"])
    for run in runs:
        best = run.best
        test = "" if run.test is None else f"{run.test:.6f}"
        took = [f"{run.spent.get(what, 0):.9g}" for what in spent]
        words = (" ".join(map(str, part)) for part in (best.architecture, search.space.names(best.architecture)))
        fidelity = [f"{amount:g}" for amount in best.fidelity.values()]
        row = [run.seed, f"{best.value(metric):.6f}", test, *fidelity, *took, run.evaluations, run.repeats, *words]
        table.writerow(row)
    return text.getvalue()


def summed_up(search: Search, runs: Sequence[Run]) -> dict[str, tuple[float, float]]:
    """{what: (mean, standard deviation)} over the runs: of the metric, the test value, and what was spent."""
    metric = search.metric.name
    columns = {metric: [run.best.value(metric) for run in runs]}
    if all(run.test is not None for run in runs):
        columns[f"test_{metric}"] = [run.test or 0.0 for run in runs]
    for what in dict.fromkeys(what for run in runs for what in run.spent):
        columns[what] = [run.spent.get(what, 0.0) for run in runs]
    columns["evaluations"] = [float(run.evaluations) for run in runs]
    columns["repeats"] = [float(run.repeats) for run in runs]
    return {name: (float(np.mean(values)), float(np.std(values))) for name, values in columns.items()}


def in_words(search: Search, runs: Sequence[Run]) -> Iterator[str]:
    """The runs in lines, as MF-NAS says them: mean ± standard deviation."""
    summary, metric = summed_up(search, runs), search.metric

    def of(name: str, digits: str) -> str:
        mean, std = (metric.shown(value) if metric.name in name else value for value in summary[name])
        return f"{mean:{digits}} ± {std:{digits}}"

    yield f"runs       {len(runs):,} of {search.options.search_strategy}, seeds {runs[0].seed} to {runs[-1].seed}"
    unit, digits = (" %", ".2f") if metric.percent else ("", ".5g")
    yield f"{metric.title:<10} {of(metric.name, digits)}{unit} {search.evaluator.spell(runs[0].best.fidelity)}"
    if f"test_{metric.name}" in summary:
        yield f"test       {of(f'test_{metric.name}', digits)}{unit}: of each choice once, nothing was selected by it"
    order = ("seconds", "epochs")
    others = sorted((name for name in summary if metric.name not in name), key=lambda name: name not in order)
    yield "spent      " + ", ".join(f"{of(name, ',.0f')} {name}" for name in others)
