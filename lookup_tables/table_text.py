"""A lookup table as text: layers down, options across."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from config_file.errors import UserError
from lookup_tables.cost_table import CostTable, Key, input_shape
from lookup_tables.table_file import read_table
from supernet.metrics import metric_called
from supernet.saved import space_or_none
from supernet.space import SearchSpace, with_sites

FIXED = "fixed"
SHOW = "python -m lookup_tables show"
EXAMPLE = f"{SHOW} tables/proxylessnas-flops-224.json"

_CELL = 9


def grid(table: CostTable) -> list[str]:
    """One line per layer with a column per option; layers whose cost depends on several decisions list their blocks."""
    rows: list[tuple[str, str, dict[str, str] | list[str]]] = []
    columns: dict[str, None] = {}
    space = with_sites(table.space)
    factors = space.factors(input_shape(space, table.resolution))
    for site, (scope, keys) in zip(space.sites, factors, strict=True):
        if len(scope) > 1 or (scope and scope != site.given):
            rows.append((site.name, "", _listed(table, keys)))
            continue
        names = table.space.decisions[scope[0]].options if scope else (FIXED,)
        columns |= dict.fromkeys(names)
        shapes = {"x".join(map(str, key[1])) for key in keys.flat if key is not None}
        cells = {name: _cell(table, key) for name, key in zip(names, keys.flat, strict=True)}
        rows.append((site.name, shapes.pop() if len(shapes) == 1 else "", cells))
    width = max(len(name) for name, _, _ in rows) + 2
    lines = [f"{'layer':{width}}{'input':12}" + "".join(f"{name:>{max(_CELL, len(name) + 1)}}" for name in columns)]
    for name, shape, content in rows:
        if isinstance(content, list):
            lines += [f"{'' if index else name:{width}}{text}" for index, text in enumerate(content)]
        else:
            texts = (f"{content.get(column, ''):>{max(_CELL, len(column) + 1)}}" for column in columns)
            lines.append(f"{name:{width}}{shape:12}{''.join(texts)}".rstrip())
    return lines


def extremes(table: CostTable) -> list[str]:
    """The exact range of the space, each end with an architecture."""
    lines = []
    for what, (value, architecture) in (("minimum", table.minimum()), ("maximum", table.maximum())):
        lines.append(f"{what}  {table.metric.in_full(value)}: {' '.join(table.space.names(architecture))}")
    return lines


def heading(header: Mapping[str, Any]) -> list[str]:
    """A table in words, from the header of its file."""
    about = ("device", "engine", "threads", "date")
    measured = [f"{name} {header[name]}" for name in about if header.get(name) is not None]
    words = [f"counter {header.get('counter')} {header.get('counter_version')}".rstrip(), *measured]
    what = f"{header.get('metric')} of {header.get('search_space')} at {header.get('resolution')} pixels"
    lines = [
        f"{what}, {header.get('in_channels')} input channels ({', '.join(words)})",
        f"counted: {header.get('counted')}",
    ]
    scale, offset, check = header.get("scale", 1.0), header.get("offset", 0.0), header.get("self_check")
    if (scale, offset) != (1.0, 0.0):
        lines.append(f"a network costs {offset:.4g} {header.get('unit')} + {scale:.4g} x the sum of its blocks")
    if isinstance(check, Mapping):
        lines.append("self-check: " + ", ".join(f"{name} {value}" for name, value in check.items()))
    return lines


def _listed(table: CostTable, keys: np.ndarray) -> list[str]:
    distinct = dict.fromkeys(key for key in keys.flat if key is not None)
    return [
        f"{'x'.join(map(str, shape)):12}{_cell(table, (block, shape)):>{_CELL}}  {block.label} to "
        f"{'x'.join(map(str, block.output_shape(shape)))}"
        for block, shape in distinct
    ]


def _cell(table: CostTable, key: Key | None) -> str:
    return "-" if key is None else table.metric.in_cell(table.entries[key].value)


def show(argv: Sequence[str]) -> None:
    """Print a table, layers down and options across."""
    if set(argv) & {"-h", "--help"}:
        print(f"usage: {SHOW} FILE\n\nPrint a lookup table: layers down, options across.\n\nexample:\n  {EXAMPLE}")
        raise SystemExit(0)
    if len(argv) != 1:
        raise UserError(f"show takes one FILE, a lookup table, as in {EXAMPLE}")
    header, entries = read_table(argv[0])
    print("\n".join(heading(header)))
    space, metric = space_or_none(header, argv[0]), metric_called(str(header.get("metric")))
    if not isinstance(space, SearchSpace):
        print(f"{len(entries)} blocks, in {metric.cells} (the search space is not a shipped one):")
        print("\n".join(f"{metric.in_cell(entry.value):>12}  {key}" for key, entry in entries.items()))
        return
    table = CostTable.load(argv[0], space, header.get("resolution"))
    print("\n".join([f"\nin {metric.cells}:", *grid(table), "", *extremes(table)]))
