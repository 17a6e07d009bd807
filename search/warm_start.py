"""Results of earlier searches, to learn from: an archive.jsonl or a results.csv."""

from collections.abc import Collection, Sequence
from math import isnan, nan
from pathlib import Path

import numpy as np

from config_file.errors import UserError
from config_file.readers.csv_text import read_csv
from config_file.readers.door import reading
from config_file.readers.json_text import read_jsonl
from config_file.readers.numbers import number_in
from search.archive import FORMAT, check_format, results_of
from search.objectives import Objective
from search.result import Result, of_greatest_fidelity
from supernet.decisions import Architecture, DecisionSpace
from supernet.saved import architecture_in
from tasks import TASKS


def read_results(path: str | Path, space: DecisionSpace, objectives: Sequence[Objective] = ()) -> list[Result]:
    """The results in a file, canonical, one for each architecture. Costs are left out.

    A CSV needs the columns `indices` (option indices, blanks in between) or `architecture` (their names), and
    `accuracy`, another task's metric (a fraction) or what the search optimises; `loss` is read if it is there.

    Raises:
        UserError: there is no such file, it is neither of both, it is of another space, accuracies are no fractions, or
            none of the results has a number for one of the objectives that is measured.
    """
    path, where = Path(path), f"--warm-start {path}"
    if not path.is_file():
        raise UserError(f"{where}: no such file")
    measured = {task.metric: None for task in TASKS.values()} | {o.name: None for o in objectives if o.measured}
    with reading(where, "neither an archive.jsonl nor a results.csv of a search"):
        results = _of_table(path, space, measured) if path.suffix == ".csv" else _of_archive(path)
    found = {}
    for result in results:
        if not space.is_valid(result.architecture):
            raise UserError(f"--warm-start {path}: {result.architecture} is no architecture of {space.name}")
        if (accuracy := result.value("accuracy")) > 1:
            raise UserError(f"--warm-start {path}: an accuracy of {accuracy:g}; they must be fractions, up to 1")
        architecture = space.canonical(result.architecture)
        found[architecture] = Result(architecture, result.metrics, state=result.state)
    for objective in objectives:
        if objective.measured and all(isnan(objective.value(result)) for result in found.values()):
            raise UserError(f"--warm-start {path}: no result in it has {objective.name}, which this search optimises")
    return list(found.values())


def _of_archive(path: Path) -> list[Result]:
    """Of every architecture the result of its greatest fidelity."""
    rows = read_jsonl(path)
    if not str(rows[0]["format"]).startswith(FORMAT[:-1]):
        raise ValueError
    check_format(path, rows[0])
    return list(of_greatest_fidelity(results_of(path, rows)).values())


def _of_table(path: Path, space: DecisionSpace, measured: Collection[str]) -> list[Result]:
    """The results in a table; rows of one architecture are repetitions, of which the mean is taken."""
    columns, rows = read_csv(path)
    known = [name for name in (*measured, "loss") if name in columns]
    if not set(known) & set(measured):
        raise UserError(f"--warm-start {path}: it has no column {' or '.join(measured)}")
    found: dict[Architecture, list[list[float]]] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        architecture = architecture_in(row["indices" if "indices" in columns else "architecture"], space, where)
        numbers = [number_in(row[name], f"{where}: {name}") if row[name] not in ("", "nan") else nan for name in known]
        found.setdefault(architecture, []).append(numbers)
    means = {architecture: np.mean(numbers, axis=0).tolist() for architecture, numbers in found.items()}
    return [Result(architecture, dict(zip(known, mean, strict=True))) for architecture, mean in means.items()]
