"""Open the tables that somebody names: `--lookup-table [NAME=]FILE.json`."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from config_file.errors import UserError, nearest
from lookup_tables.cost_table import CostTable
from lookup_tables.counters import build_table
from supernet import SearchSpace
from supernet.metrics import METRICS, Metric, counted_metrics, metric_name
from tasks import TASKS

RESERVED = (
    *(task.metric for task in TASKS.values()),
    *("loss", "acc", "top1"),
    *("evaluation", "ci_low", "ci_high", "within_limits", "best_so_far", "seconds"),
    *("indices", "architecture", "names", "knee"),
)
"""Names that results and objectives have for something else."""

RESERVED_BEGINNINGS = ("n_", "confirmed_")
"""Of columns of results: an evaluation's amounts, and what was measured again."""


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
            table = replace(table, title=_title(before.strip(), table.metric, entry))
        if table.name in tables:
            raise UserError(f"--lookup-table: two tables of {table.name}; name them, as in cpu=FILE.json")
        tables[table.name] = table
    return tables


def _title(name: str, metric: Metric, entry: str) -> str:
    """A name that the user gives to a table. Raises UserError for one that stands for something else."""
    said = METRICS.get(metric_name(name))
    taken = name in RESERVED or name.startswith(RESERVED_BEGINNINGS)
    if taken or (said is not None and (said is not metric or said.count is not None)):
        raise UserError(
            f"--lookup-table {entry}: {name!r} is reserved; call the table something else, as in phone=FILE.json"
        )
    # What the grammars of --constraint and --objective take apart: signs, colons, commas.
    if not re.fullmatch(r"\w[\w .+-]*", name):
        raise UserError(
            f"--lookup-table {entry}: {name!r} is no name for a table; letters, digits, _, . and - make one"
        )
    return name


def tables_of(options: Any, space: SearchSpace, resolution: int, names: Iterable[str]) -> dict[str, CostTable]:
    """A table for each name: that of `--lookup-table` where one is called so, else counted from the blocks.

    Args:
        options: with `lookup_table` and `counter`.

    Raises:
        UserError: a table is of another space or resolution, or there is none of a name.
    """
    tables = load_tables(options.lookup_table, space, resolution)
    countable = [metric.name for metric in counted_metrics()]
    for name in dict.fromkeys(names):
        if name in tables:
            continue
        if name not in countable:
            known = [*countable, *tables]
            raise UserError(
                f"{name} needs --lookup-table FILE.json with a table of it{nearest(name, known)}; "
                f"there are: {', '.join(sorted({*known}))}"
            )
        tables[name] = build_table(space, name, resolution, options.counter)
    return {name: tables[name] for name in names}
