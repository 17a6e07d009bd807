"""Tables of users: architectures and what was measured of each, in CSV files of any origin.

An architecture is written as `supernet.saved.architecture_in` takes it. Where it stands in several rows they are
repetitions, such as one training each.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

import numpy as np

from config_file.errors import UserError
from config_file.readers.csv_text import read_csv
from config_file.readers.numbers import number_in
from search.subnet_table import form_of, subnets_of
from supernet import Architecture
from supernet.decisions import DecisionSpace
from supernet.saved import architecture_in

KEYS = ("indices", "architecture")
AMOUNT = "n_"  # begins the columns of a fidelity in results.csv


@dataclass(frozen=True)
class Row:
    """One row: an architecture and its numbers by column; NaN where the row has none."""

    line: int
    architecture: Architecture
    numbers: Mapping[str, float]
    fidelity: tuple[float, ...] = ()


def read_rows(path: Path, columns: Sequence[str], space: DecisionSpace | None = None) -> list[Row]:
    """The rows of a CSV file, those of each architecture that are of its greatest fidelity (columns `n_...`).

    Args:
        path: the file, with the column `architecture` or `indices`, or in a form of `search.subnet_table`.
        columns: the numbers that are read, as far as the file has them.
        space: what names of options mean; without it architectures are indices.

    Raises:
        UserError: not such a file, a number that is none, or an architecture that is not of the space; names the line.
    """
    table = read_csv(path)
    if (form := form_of(table.columns)) is not None:
        subnets = subnets_of(table, form, space, path)
        return [Row(line, r.architecture, {n: v for n, v in r.metrics.items() if n in columns}) for line, r in subnets]
    key = next((name for name in KEYS if name in table.columns), None)
    if key is None:
        raise UserError(f"{path} has no column 'architecture': it needs architecture and {columns[0]}")
    amounts = [name for name in table.columns if name.startswith(AMOUNT)]
    found: dict[Architecture, list[Row]] = defaultdict(list)
    for line, row in table.rows:
        where = f"{path}, line {line}"
        numbers = {name: _number(row[name], f"{where}: {name}") for name in columns if name in row}
        fidelity = tuple(number_in(row[name] or 0, f"{where}: {name}") for name in amounts)
        architecture = architecture_in(row[key], space, where)
        found[architecture].append(Row(line, architecture, numbers, fidelity))
    return [row for rows in found.values() for row in rows if row.fidelity == max(other.fidelity for other in rows)]


def averaged(rows: Sequence[Row], column: str) -> dict[Architecture, list[float]]:
    """Of every architecture its numbers in a column, one for each row that has one, in the order first met."""
    found: dict[Architecture, list[float]] = defaultdict(list)
    for row in rows:
        if isfinite(row.numbers.get(column, nan)):
            found[row.architecture].append(row.numbers[column])
    return dict(found)


def are_fractions(values: Sequence[float]) -> bool:
    """True for accuracies that are fractions: from 0 to 1, all of them."""
    return all(0 <= value <= 1 for value in values)


def small_percent(values: Sequence[float]) -> str:
    """Words on how few of the accuracies in percent are as small as fractions; "" where none or all of them are."""
    small = sum(0 < value <= 1 for value in values)
    if not small or are_fractions(values):
        return ""
    return f"{small:,} of {len(values):,} accuracies are not above 1 and read as percent, as the others: no fractions"


def _number(text: str, where: str) -> float:
    return nan if text.lower() in ("", "nan") else number_in(text, where)


def as_array(repetitions: Mapping[Architecture, Sequence[float]]) -> np.ndarray:
    """(networks, most repetitions) numbers, NaN where an architecture has fewer."""
    most = max(map(len, repetitions.values()), default=0)
    rows = [[*numbers, *[nan] * (most - len(numbers))] for numbers in repetitions.values()]
    return np.array(rows, dtype=np.float64).reshape(len(rows), most)
