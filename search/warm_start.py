"""Results of earlier searches, to learn from: an archive.jsonl or a results.csv."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from config_file.errors import UserError
from config_file.readers.json_text import read_jsonl
from search.archive import FORMAT, check_format, results_of
from search.objectives import Objective
from search.result import Result
from supernet.decisions import DecisionSpace
from tasks import TASKS


def read_results(path: str | Path, space: DecisionSpace, objectives: Sequence[Objective] = ()) -> list[Result]:
    """The results in a file, canonical; of an architecture that is there twice, the last one. Costs are left out.

    A CSV needs the columns `indices` (option indices, blanks in between) or `architecture` (their names), and
    `accuracy`, another task's metric (a fraction) or what the search optimises; `loss` is read if it is there.

    Raises:
        UserError: there is no such file, it is neither of both, it is of another space, accuracies are no fractions, or
            none of the results has a number for one of the objectives that is measured.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"--warm-start {path}: no such file")
    measured = {task.metric: None for task in TASKS.values()} | {o.name: None for o in objectives if o.measured}
    try:
        if path.suffix == ".csv":
            with path.open(newline="") as file:
                results = [_of_row(row, space, measured) for row in csv.DictReader(file)]
        else:
            results = _of_archive(path)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, UnicodeDecodeError):
        raise UserError(f"--warm-start {path}: neither an archive.jsonl nor a results.csv of a search") from None
    found = {}
    for result in results:
        if not space.is_valid(result.architecture):
            raise UserError(f"--warm-start {path}: {result.architecture} is no architecture of {space.name}")
        if (accuracy := result.value("accuracy")) > 1:
            raise UserError(f"--warm-start {path}: an accuracy of {accuracy:g}; they must be fractions, up to 1")
        architecture = space.canonical(result.architecture)
        found[architecture] = Result(architecture, result.metrics, state=result.state)
    for objective in objectives:
        if objective.measured and all(math.isnan(objective.value(result)) for result in found.values()):
            raise UserError(f"--warm-start {path}: no result in it has {objective.name}, which this search optimises")
    return list(found.values())


def _of_archive(path: Path) -> list[Result]:
    rows = read_jsonl(path)
    if not str(rows[0]["format"]).startswith(FORMAT[:-1]):
        raise ValueError
    check_format(path, rows[0])
    return list(results_of(path, rows))


def _of_row(row: Mapping[str, str], space: DecisionSpace, measured: Iterable[str]) -> Result:
    known = [name for name in measured if name in row]
    if not known:
        raise KeyError
    numbers = {name: float(row[name] or "nan") for name in known}
    if row.get("loss"):
        numbers["loss"] = float(row["loss"])
    indices = row["indices"].split() if "indices" in row else None
    architecture = space.parse(row["architecture"].split()) if indices is None else tuple(map(int, indices))
    return Result(architecture, numbers)
