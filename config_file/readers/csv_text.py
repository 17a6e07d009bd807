"""Tables of comma-separated values: every column once, every row as long as the header."""

import csv
import io
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from config_file.errors import UserError
from config_file.readers.door import read_text, reading


class Table(NamedTuple):
    """The names of the columns, and (line number, {column: cell without blanks at its ends}) of every row."""

    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]


def read_csv(path: str | Path, needed: Collection[str] = ()) -> Table:
    """The table in a CSV file; rows without any content are left out.

    Args:
        needed: columns that must be there.

    Raises:
        UserError: no such file, not text, empty, a column named twice or missing, a row of another length than the
            header, or a cell that no table has (more than 131,072 characters).
    """
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""))
    with reading(path, "is not a table of comma-separated values"):
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    if not lines:
        raise UserError(f"{path}: the file is empty")
    columns = [cell.strip() for cell in lines[0][1]]
    for name in columns:
        if name and columns.count(name) > 1:
            raise UserError(f"{path}: the column {name!r} is there twice")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UserError(f"{path}: expected the columns {', '.join(needed)}, not {', '.join(columns)}")
    rows = []
    for number, line in lines[1:]:
        if len(line) != len(columns):
            raise UserError(f"{path}, line {number}: {len(line)} cells, the header has {len(columns)}")
        rows.append((number, {name: cell.strip() for name, cell in zip(columns, line, strict=True)}))
    return Table(columns, rows)
