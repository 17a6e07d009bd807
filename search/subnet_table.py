"""Tables of subnets as other tools keep them: DyNAS-T's and Neural Compressor's CSV, once-for-all's accuracies.

A row names its subnet as a Python dict, `{'wid': None, 'ks': [...], 'e': [...], 'd': [...], 'r': [224]}` (the form of
`supernet.once_for_all`), or of a space without kernels and depths `{'decision': 'option', ...}`. Accuracies are
percent, latencies milliseconds; what was not measured is 0.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.fields import option
from config_file.files import atomic_write_text
from config_file.options import options
from config_file.readers.csv_text import Table, read_csv
from config_file.readers.door import reading
from config_file.readers.json_text import parse_json, read_json
from config_file.readers.numbers import number_in
from search.result import Result
from supernet import Architecture, NetworkSpace
from supernet.decisions import DecisionSpace
from supernet.once_for_all import architecture_in_form, in_form, is_form
from supernet.saved import architecture_in
from supernet.spaces.image_sizes import IMAGE_SIZE


@dataclass(frozen=True)
class Form:
    """The columns of a tool.

    Attributes:
        subnet, date: the names of those that hold these.
        numbers: {column: our name} of the others, in their order.
    """

    subnet: str
    date: str
    numbers: Mapping[str, str]

    @property
    def columns(self) -> list[str]:
        return [self.subnet, self.date, *self.numbers]


FORMS: dict[str, Form] = {
    "dynast": Form(
        "Sub-network", "Date",
        {"Model Parameters": "params", "Latency (ms)": "latency", "MACs": "flops", "Top-1 Acc (%)": "accuracy"},
    ),
    "neural_compressor": Form("config", "date", {"lat": "latency", "macs": "flops", "acc": "accuracy"}),
}  # fmt: skip
"""By name."""


@options("Run")
class SubnetTableOptions:
    """A table beside the run that other tools read."""

    results_csv: str | None = option(
        None, "also write all results to this table for other tools; where it is there already, predictor learns from "
        "it first, and its rows of other subnets stay", metavar="FILE.csv"
    )  # fmt: skip
    results_form: str = option("dynast", "the tool whose columns --results-csv has", choices=tuple(FORMS))


COUNTED = {"params": lambda spec, image: spec.params(image), "flops": lambda spec, image: spec.macs(image)}
OFF = 0.15
"""What counts of another tool may be off by, relative to ours: some count batch norms and pooling too."""

ACCURACIES = ".dict"
"""The suffix of once-for-all's files of accuracies."""


def form_of(columns: Sequence[str]) -> Form | None:
    """The tool whose table has these columns; None where it is none of theirs."""
    return next((form for form in FORMS.values() if form.subnet in columns and set(form.numbers) & set(columns)), None)


def subnets_of(table: Table, form: Form, space: DecisionSpace | None, path: Path) -> Iterator[tuple[int, Result]]:
    """(line, subnet with its numbers by our names; those that were not measured are NaN) of every row.

    Raises:
        UserError: without a space, a subnet that it does not have, a number that is none, or parameters or
            multiply-accumulates that are not those of the space's network: the table is of another supernet.
    """
    if space is None:
        raise UserError(f"{path}: its subnets are of a space: give --search-space")
    checked = False
    for line, row in table.rows:
        where = f"{path}, line {line}"
        architecture = _subnet(row[form.subnet], space, where)
        numbers = {
            name: number_in(row[column] or 0, f"{where}: {column}", at_least=0) or nan
            for column, name in form.numbers.items()
            if column in row
        }
        if not checked and isinstance(space, NetworkSpace):
            checked = _check(architecture, numbers, space, where)
        yield line, Result(architecture, numbers)


def _subnet(text: str, space: DecisionSpace, where: str) -> Architecture:
    """The canonical architecture that a cell says."""
    if not text.startswith("{"):
        return architecture_in(text, space, where)
    plain = text.replace("'", '"').replace("None", "null")  # a dict as Python prints it
    content = parse_json(plain, where)
    if is_form(content):
        return architecture_in_form(content, space, where)
    names = [decision.name for decision in space.decisions]
    if set(content) != set(names):
        raise UserError(f"{where}: {text[:60]!r} is no subnet of {space.name}")
    with reading(where):
        return space.canonical(space.parse([str(content[name]) for name in names]))


def _check(architecture: Architecture, numbers: Mapping[str, float], space: NetworkSpace, where: str) -> bool:
    """Compare counts with ours; False where there are none to compare. Raises UserError where they differ."""
    spec = space.decode(architecture)
    for name, count in COUNTED.items():
        said, ours = numbers.get(name, nan), count(spec, space.input_shape)
        if abs(said / ours - 1) > OFF:  # False of NaN
            raise UserError(
                f"{where}: {said:,.0f} {name}, where this network of {space.name} has {ours:,}: the table is of "
                "another supernet, or of images of another size"
            )
    return any(isfinite(numbers.get(name, nan)) for name in COUNTED)


def accuracies_in(path: Path, space: DecisionSpace) -> list[Result]:
    """The accuracies in once-for-all's data set: `acc.dict`, a file of one size (`src/224.dict`), or its folder.

    Where the image size is no decision of the space, those of other sizes are left out.

    Raises:
        UserError: not such a file, a subnet that the space does not have, or none of the size at hand.
    """
    if path.is_dir():
        whole = path / f"acc{ACCURACIES}"
        files = [whole] if whole.is_file() else sorted((path / "src").glob(f"*{ACCURACIES}"))
        if not files:
            raise UserError(f"{path} has neither acc.dict nor src/SIZE.dict")
        return [result for file in files for result in accuracies_in(file, space)]
    content = read_json(path)
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected an object of accuracies by subnet")
    decides = any(decision.name == IMAGE_SIZE for decision in space.decisions)
    here = None if decides or not isinstance(space, NetworkSpace) else space.input_shape[1]
    found, sizes = [], set()
    for number, (key, accuracy) in enumerate(content.items(), 1):
        where = f"{path}, entry {number}"
        subnet = parse_json(key, where)
        if not isinstance(subnet, dict):
            raise UserError(f"{where}: {key[:60]!r} is no subnet")
        size = subnet.pop("image_size", int(path.stem) if path.stem.isdecimal() else None)
        sizes.add(size)
        if here is None or size in (None, here):
            subnet = subnet | ({} if size is None else {"r": size})
            value = number_in(accuracy, f"{where}: its accuracy", at_least=0)
            found.append(Result(architecture_in_form(subnet, space, where), {"accuracy": value}))
    if not found:
        raise UserError(
            f"{path} has no accuracies at {here} pixels, as the images have here "
            f"(it has {', '.join(sorted(map(str, sizes))) or 'none'})"
        )
    return found


def named(space: DecisionSpace, architecture: Architecture) -> dict[str, Any]:
    """A subnet as these tables name it."""
    elastic = in_form(space, architecture)
    if elastic is None:
        decisions = (decision.name for decision in space.decisions)
        return dict(zip(decisions, space.names(architecture), strict=True))
    size = elastic.pop("r", None)
    return {"wid": None, **elastic, **({} if size is None else {"r": [size]})}


def write_subnets(path: Path, form: Form, space: DecisionSpace, results: Sequence[Result]) -> None:
    """Write results as a table of that form, behind the rows of other subnets where the file is there already.

    Args:
        results: with costs in raw units; the accuracy a fraction.

    Raises:
        UserError: the file is there, and no table of that form and space.
    """
    columns, before = form.columns, []
    if path.exists():
        table_before = checked_table(path, form, space)
        new, columns = {result.architecture for result in results}, table_before.columns
        there = subnets_of(table_before, form, space, path)
        before = [row for (_, row), (_, old) in zip(table_before.rows, there, strict=True) if
                  old.architecture not in new]  # fmt: skip
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows([row[name] for name in columns] for row in before)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    for result in results:
        cells = {form.subnet: named(space, result.architecture), form.date: now}
        cells |= {column: _cell(result, name) for column, name in form.numbers.items()}
        table.writerow([cells.get(name, "") for name in columns])
    atomic_write_text(path, text.getvalue())


def checked_table(path: Path, form: Form, space: DecisionSpace) -> Table:
    """A table of that form and space, to be written behind. Raises UserError for a file that is none."""
    table = read_csv(path)
    if form_of(table.columns) is not form:
        raise UserError(f"{path} is no table with the columns {','.join(form.columns)}; it is left alone")
    for _ in subnets_of(table, form, space, path):
        pass
    return table


def check_output(options: SubnetTableOptions, space: DecisionSpace) -> None:
    """Raises UserError where the table cannot be written: no such folder, or a file that is none of its form."""
    if options.results_csv is None:
        return
    path, form = Path(options.results_csv), FORMS[options.results_form]
    if not path.parent.is_dir():
        raise UserError(f"--results-csv {path}: no such folder {path.parent}")
    if path.exists():
        checked_table(path, form, space)


def _cell(result: Result, name: str) -> str:
    value = result.metrics.get(name, result.cost.get(name, 0))
    if result.failed or isnan(value):
        value = 0
    return f"{100 * value if name == 'accuracy' else value:.12g}"
