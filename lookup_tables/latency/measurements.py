"""Measured networks from a CSV file: an architecture and its latency in milliseconds per row.

    architecture,ms
    k3e6 k5e3 skip ...,23.4          option names, or indices, separated by spaces, or a JSON list of either

Instead of the column `architecture` there may be one column per decision, named like it. Other columns are ignored.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.readers.csv_text import read_csv
from config_file.readers.numbers import number_in
from supernet import SearchSpace
from supernet.saved import architecture_in

ARCHITECTURE, MS = "architecture", "ms"
MOST_MS = 1e7  # hours; a unit that was mistaken, or damage


class Measurements(NamedTuple):
    """Networks as (N, D) option indices, and how many milliseconds they take, (N,)."""

    architectures: NDArray[np.int64]
    ms: NDArray[np.float64]


def read_measurements(path: str | Path, space: SearchSpace) -> Measurements:
    """Read a file of measured networks.

    Raises:
        UserError: not such a file, an architecture that is not of this space, or a latency that is not a number above
            0; names the line.
    """
    header, rows = read_csv(path)
    by_decision = [decision.name for decision in space.decisions]
    whole = ARCHITECTURE in header
    if MS not in header or not (whole or set(by_decision) <= set(header)):
        raise UserError(
            f"{path}: expected the columns {ARCHITECTURE} and {MS} (or one column per decision, such as "
            f"{by_decision[0]}, and {MS}), not {', '.join(header)}"
        )
    architectures, ms = [], []
    for number, row in rows:
        where = f"{path}, line {number}"
        text = row[ARCHITECTURE] if whole else json.dumps([row[name] for name in by_decision])
        architectures.append(architecture_in(text, space, where))
        ms.append(milliseconds(row[MS], where))
    if not rows:
        raise UserError(f"{path}: no measurements in it")
    return Measurements(np.array(architectures, dtype=np.int64), np.array(ms))


def milliseconds(text: str, where: str) -> float:
    """A latency from a cell. Raises UserError that begins with `where`."""
    if not text:
        raise UserError(f"{where}: {MS} is missing")
    ms: float = number_in(text, f"{where}: {MS}", above=0)
    if ms > MOST_MS:
        raise UserError(f"{where}: {MS} is {text}: no network takes longer than {MOST_MS:g}")
    return ms
