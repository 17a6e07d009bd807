"""Several lookup tables beside each other, such as the latency on two devices: `[NAME=]FILE.json`."""

from __future__ import annotations

from dataclasses import replace

from config_file.errors import UserError
from lookup_tables.cost_table import CostTable
from supernet import SearchSpace

RESERVED = ("accuracy", "loss")


def load_tables(text: str | None, space: SearchSpace, resolution: int) -> dict[str, CostTable]:
    """The tables of `--lookup-table`, entries separated by commas, by name: a table's metric unless one is given.

    Raises:
        UserError: as `CostTable.load`, an empty or reserved name, or a name that two tables have.
    """
    tables: dict[str, CostTable] = {}
    for entry in filter(None, (part.strip() for part in (text or "").split(","))):
        before, equals, after = entry.partition("=")
        table = CostTable.load(after.strip() if equals else entry, space, resolution)
        if equals:
            table = replace(table, title=before.strip())
            if not before.strip() or table.title in RESERVED:
                raise UserError(f"--lookup-table {entry}: {before.strip()!r} is no name for a table")
        if table.name in tables:
            raise UserError(f"--lookup-table: two tables of {table.name}; name them, as in cpu=FILE.json")
        tables[table.name] = table
    return tables
