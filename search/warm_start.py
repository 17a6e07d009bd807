"""Results of earlier searches, to learn from: an archive.jsonl, a CSV of ours or others', once-for-all's accuracies."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from config_file.errors import UserError
from config_file.files import atomic_path, atomic_write_bytes
from config_file.readers.csv_text import read_csv
from config_file.readers.door import read_bytes
from config_file.readers.json_text import MOST_JSONL
from config_file.run_folder import RunFolder
from config_file.stages import stage_path
from search.archive import Archive, read_archive
from search.objectives import Objective
from search.predictor.kept import SUFFIX, known_to
from search.reporting.finished_search import ARCHIVE
from search.result import Result, comparable
from search.result_table import KEYS, are_fractions, averaged, read_rows, small_percent
from search.subnet_table import ACCURACIES, accuracies_in, form_of
from supernet import Architecture
from supernet.decisions import DecisionSpace
from tasks import TASKS

NEITHER = "is neither an archive.jsonl nor a results.csv of a search"


KEPT = "earlier.jsonl"
"""The lessons of a search at its start, in its folder: it goes on with them, whatever became of the file."""


def earlier_results(options: Any, space: DecisionSpace, objectives: Sequence[Objective]) -> list[Result]:
    """The results that a search learns from first: --warm-start, or what stands in --results-csv when it begins.

    Raises UserError as `read_results`.
    """
    source, folder = options.warm_start or options.results_csv, stage_path(options)
    if source is None:
        return []
    if options.resume and (folder / KEPT).is_file():
        prints, results = read_archive(folder / KEPT)
        if prints == _kept(source, space):
            return results
    begun = options.resume and (folder / ARCHIVE).is_file()
    if options.warm_start is None and (begun or not Path(source).is_file()):
        return []
    return read_results(source, space, objectives)


def keep_earlier(options: Any, space: DecisionSpace, earlier: Sequence[Result], folder: RunFolder) -> None:
    """Keep what a search learns from first in its folder."""
    if earlier:
        with atomic_path(folder.file(KEPT)) as path:
            kept = Archive(path, _kept(options.warm_start or options.results_csv, space))
            for result in earlier:
                kept.add(result)


def _kept(source: str, space: DecisionSpace) -> dict[str, str]:
    return {"from": source, "space": space.decisions_fingerprint}


def begin_archive(path: Path, source: str | None, fingerprints: Mapping[str, Any]) -> int:
    """Begin a search's archive with that of another search whose results depend on the same: none is made again.

    Returns the number of results that are known so; 0 where the archive is there, or the source is none of that kind.
    """
    if path.exists() or source is None or Path(source).suffix != Path(ARCHIVE).suffix:
        return 0
    prints, results = read_archive(Path(source))
    if json.dumps(prints, sort_keys=True) != json.dumps(dict(fingerprints), sort_keys=True):
        return 0
    atomic_write_bytes(path, read_bytes(source, MOST_JSONL))
    return len(results)


def read_results(path: str | Path, space: DecisionSpace, objectives: Sequence[Objective] = ()) -> list[Result]:
    """The results in a file, canonical, one for each architecture. Costs are left out.

    A CSV needs the columns `indices` or `architecture` (see `search.result_table`), and `accuracy`, another task's
    metric or what the search optimises; `loss` is read if it is there. Accuracies are fractions, or percent where one
    is above 1, which is said. Of an architecture the results of the greatest fidelity count, and several are averaged.

    Raises:
        UserError: there is no such file, it is neither of both, it is of another space, accuracies are neither
            fractions nor percent, or none of the results has a number for one of the objectives that is measured.
    """
    path = Path(path)
    where = f"--warm-start {path}"
    if not path.is_file() and not (path.is_dir() and [*path.rglob(f"*{ACCURACIES}")]):
        raise UserError(f"{where}: no such file")
    measured = [task.metric for task in TASKS.values()] + [o.name for o in objectives if o.measured]
    columns = list(dict.fromkeys((*measured, "loss")))
    found = _read(path, columns, space)
    accuracies = [result.value("accuracy") for result in found if math.isfinite(result.value("accuracy"))]
    if not are_fractions(accuracies):
        if wrong := next((accuracy for accuracy in accuracies if not 0 <= accuracy <= 100), None):
            raise UserError(f"{where}: an accuracy of {wrong:g} is neither a fraction nor percent")
        print(f"{where}: {small_percent(accuracies) or 'accuracies above 1, so they are read as percent'}")
        found = [_in_fractions(result) for result in found]
    for objective in objectives:
        if objective.measured and all(math.isnan(objective.value(result)) for result in found):
            raise UserError(f"{where}: no result in it has {objective.name}, which this search optimises")
    return found


def _read(path: Path, columns: Sequence[str], space: DecisionSpace) -> list[Result]:
    if path.suffix == ACCURACIES or path.is_dir():
        return _of_each(accuracies_in(path, space))
    if path.suffix == SUFFIX:
        return known_to(path, space)
    return _of_csv(path, columns, space) if path.suffix == ".csv" else _of_archive(path, space)


def _of_archive(path: Path, space: DecisionSpace) -> list[Result]:
    fingerprints, results = read_archive(path)
    if fingerprints is None:
        raise UserError(f"--warm-start {path}: {NEITHER}")
    for result in results:
        if not space.is_valid(result.architecture):
            raise UserError(f"--warm-start {path}: {result.architecture} is no architecture of {space.name}")
    return _of_each(replace(result, architecture=space.canonical(result.architecture)) for result in results)


def _of_each(results: Iterable[Result]) -> list[Result]:
    """One result for each architecture."""
    by_architecture: dict[Architecture, list[Result]] = defaultdict(list)
    for result in results:
        by_architecture[result.architecture].append(result)
    return [_mean(architecture, comparable(same)) for architecture, same in by_architecture.items()]


def _mean(architecture: Architecture, same: Sequence[Result]) -> Result:
    """One result of several; one that failed counts only where all did."""
    good = [result for result in same if not result.failed]
    if len(good) < 2:
        result = (good or same)[-1]
        return Result(architecture, result.metrics, state=result.state)
    names = dict.fromkeys(name for result in good for name in result.metrics)
    metrics = {
        name: float(np.mean([result.metrics[name] for result in good if name in result.metrics])) for name in names
    }
    return Result(architecture, metrics)


def _of_csv(path: Path, columns: Sequence[str], space: DecisionSpace) -> list[Result]:
    there, measured = read_csv(path).columns, [name for name in columns if name != "loss"]
    if (form := form_of(there)) is not None:
        there = [*form.numbers.values(), *KEYS]
    if not set(there) & set(measured):
        raise UserError(f"--warm-start {path}: it has no column {' or '.join(measured)}")
    if not set(there) & set(KEYS):
        raise UserError(f"--warm-start {path}: {NEITHER}")
    rows = read_rows(path, columns, space)
    known = {name: averaged(rows, name) for name in columns if name in there}
    networks = dict.fromkeys(row.architecture for row in rows)
    found = {network: _metrics(network, known) for network in networks}
    if form is not None:  # there a number that is missing was not asked for; in a table of ours the evaluation failed
        found = {network: {n: v for n, v in metrics.items() if math.isfinite(v)} for network, metrics in found.items()}
    return [Result(network, metrics) for network, metrics in found.items()]


def _metrics(network: Architecture, known: Mapping[str, Mapping[Architecture, Sequence[float]]]) -> dict[str, float]:
    return {name: float(np.mean(values[network])) if network in values else math.nan for name, values in known.items()}


def _in_fractions(result: Result) -> Result:
    accuracy = result.value("accuracy") / 100
    return Result(result.architecture, {**result.metrics, "accuracy": accuracy}, state=result.state)
