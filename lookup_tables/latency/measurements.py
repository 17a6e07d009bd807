"""Measured networks from a CSV file: an architecture and its latency in milliseconds per row.

    architecture,ms
    k3e6 k5e3 skip ...,23.4          option names, or indices, separated by spaces, or a JSON list of either

Instead of the column `architecture` there may be one column per decision, named like it. Other columns are ignored.
"""

import csv
import io
import json
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from supernet import Architecture, SearchSpace

ARCHITECTURE, MS = "architecture", "ms"


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
        architectures.append(_architecture(text, space, where))
        ms.append(milliseconds(row[MS], where))
    if not rows:
        raise UserError(f"{path}: no measurements in it")
    return Measurements(np.array(architectures, dtype=np.int64), np.array(ms))


def read_text(path: str | Path) -> str:
    """The text of a file. Raises UserError where there is no such file, or not text in it."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None


def read_csv(path: str | Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header of a CSV file and its rows with their line numbers.

    Raises:
        UserError: no such file, not text, empty, or a row of another length than the header.
    """
    reader = csv.reader(io.StringIO(read_text(path)))
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from None
    if not lines:
        raise UserError(f"{path}: the file is empty")
    header = [cell.strip() for cell in lines[0][1]]
    rows = []
    for number, line in lines[1:]:
        if len(line) != len(header):
            raise UserError(f"{path}, line {number}: {len(line)} cells, the header has {len(header)}")
        rows.append((number, {name: cell.strip() for name, cell in zip(header, line, strict=True)}))
    return header, rows


def _architecture(text: str, space: SearchSpace, where: str) -> Architecture:
    try:
        options = json.loads(text) if text.startswith("[") else text.split()
        return space.parse([int(o) if isinstance(o, str) and o.isdecimal() else o for o in options])
    except ValueError:
        raise UserError(f"{where}: {text!r} is not an architecture") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def milliseconds(text: str, where: str) -> float:
    """A latency from a cell. Raises UserError that begins with `where`."""
    if not text:
        raise UserError(f"{where}: {MS} is missing")
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{where}: {MS} must be a number, not {text!r}") from None
    if not isfinite(value) or value <= 0:
        raise UserError(f"{where}: {MS} must be a number above 0, not {text}")
    return value
