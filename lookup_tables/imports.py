"""Lookup tables of others, read into ours.

Numbers are in the unit that the format has by itself (`FORMATS`), unless `--unit` says another.

Formats by block, whose keys say which block at which shape:

- proxylessnas, ofa: YAML, `expanded_conv-input:56x56x24-output:56x56x24-expand:3-kernel:3-stride:1-idskip:1: {mean: 1,
  count: 99}` in milliseconds (height x width x channels; expand is a ratio in ProxylessNAS, a width in once-for-all).

Formats by layer, which hold for chains whose layers are in the order of the space; blocks that stand in several layers
get the mean:

- osnaslib: JSON, `{"flops": [[per option] per layer], "param": ..., "latency": ..., "base_flops": ..., ...}` in
  millions, parameters and seconds.
- fbnet: text, a line with the names of the options, then a line of microseconds per layer; what a layer does not have
  is left out of account, whatever stands there.
- nni: lut.txt of NNI's FBNet, a line per operation such as {'op_name': 'sep_k3', 'op_data_shape': (14, 14, 32, 32, 1),
  'op_dtype': 'float', 'op_latency': 120.5}: width, height, channels in and out, stride; microseconds.
- csv: the columns layer, option and ms; what all networks share has the name of its site and no option, or layer base.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from config_file.errors import UserError, choose, nearest
from config_file.readers.csv_text import read_csv
from config_file.readers.door import put_once, read_text, reading
from config_file.readers.json_text import read_json
from config_file.readers.numbers import number_in
from config_file.readers.yaml_text import read_yaml
from lookup_tables.cost_table import Key, distinct_blocks, input_shape
from lookup_tables.table_file import Entry
from supernet import SearchSpace, Shape
from supernet.blocks import Block, Conv, GlobalPool, Head, Identity
from supernet.composites import InvertedResidual
from supernet.metrics import LATENCY

Imported = tuple[dict[Key, Entry], float]
"""An entry for every block of the space, in the raw unit of the metric, and what every network costs beside them."""

_LONGEST_LINE = 1000


def by_key(path: Path, space: SearchSpace) -> Imported:
    """ProxylessNAS's and once-for-all's YAML. Raises UserError."""
    content = read_yaml(path)
    if not isinstance(content, Mapping) or not all(isinstance(key, str) and "-input:" in key for key in content):
        raise UserError(f"{path}: expected keys such as expanded_conv-input:56x56x24-output:56x56x24-expand:3-...")
    entries: dict[Key, Entry] = {}
    missing: list[Key] = []
    for block, shape in distinct_blocks(space, space.input_shape[1]):
        parts = next((keys for keys in _names(block, shape) if all(key in content for key in keys)), None)
        if isinstance(block, Identity):
            entries[block, shape] = Entry(0, 0)
        elif parts is None:
            missing.append((block, shape))
        else:
            entries[block, shape] = _sum([_timing(content[key], f"{path}, {key}") for key in parts])
    if missing:
        block, shape = missing[0]
        skips = any(isinstance(block, Conv) and block.kernel == 1 and not block.act for block, _ in missing)
        hint = "; --skip identity leaves out skips that change the shape" if skips else ""
        raise UserError(
            f"{path} has no entry for {len(missing)} of {len(missing) + len(entries)} blocks of {space.name} at "
            f"{space.input_shape[1]} pixels, such as {next(iter(_names(block, shape)), [block.label])[0]}{hint}"
        )
    return entries, 0.0


def osnaslib(path: Path, space: SearchSpace, metric: str = LATENCY.name) -> Imported:
    """OSNASLib's JSON; latencies in the unit of the file. Raises UserError."""
    content = read_json(path)
    name, unit = {"flops": ("flops", 1e6), "params": ("param", 1.0), "latency": ("latency", 1.0)}[metric]
    if not isinstance(content, Mapping) or name not in content:
        raise UserError(f"{path}: expected the key {name!r}, as in a lookup table of OSNASLib")
    rows = content[name]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise UserError(f"{path}: {name} must be a list of layers, each a list of numbers")
    values = [
        [unit * _number(value, f"{path}, {name}, layer {layer}") for value in row] for layer, row in enumerate(rows, 1)
    ]
    base = unit * _number(content.get(f"base_{name}", 0), f"{path}, base_{name}")
    return _by_layer(path, space, values, base)


def fbnet(path: Path, space: SearchSpace) -> Imported:
    """FBNet's text format. Raises UserError."""
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if len(lines) < 2:
        raise UserError(f"{path}: expected a line of option names, then a line of times per layer")
    header, *rows = lines
    if mark := next((mark for mark in ",;" if any(mark in cell for cell in (*header, *rows[0]))), None):
        raise UserError(f"{path}: its cells are separated by {mark!r}; this format has blanks between them")
    if all(map(_is_number, header)):
        raise UserError(
            f"{path}: the first line, which names the options, is missing: {' '.join(space.decisions[0].options)}"
        )
    if len(rows) != len(space.decisions):
        raise UserError(f"{path} has {len(rows)} layers, {space.name} {len(space.decisions)}")
    values = []
    for (layer, row), decision in zip(enumerate(rows, 1), space.decisions, strict=True):
        if len(row) != len(header):
            raise UserError(f"{path}, layer {layer}: {len(row)} numbers for {len(header)} options")
        found: dict[str, str] = {}
        for option, cell in zip(map(_plain, header), row, strict=True):
            put_once(found, option, cell, path, f"the column {option}")
        for option in decision.options:
            if _plain(option) not in found:
                raise UserError(f"{path}: no option {option}{nearest(option, header)} (it has: {' '.join(header)})")
        values.append([_number(found[_plain(o)], f"{path}, layer {layer}") for o in decision.options])
    return _by_layer(path, space, values, 0.0)


def nni(path: Path, space: SearchSpace) -> Imported:
    """NNI's lut.txt for its FBNet example. Raises UserError."""
    known: dict[tuple[Any, ...], float] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            where = f"{path}, line {number}"
            with reading(where, "is not {'op_name': ..., 'op_data_shape': ..., 'op_latency': ...}"):
                row = ast.literal_eval(line.strip()[:_LONGEST_LINE])
                key = row.get("op_dtype", "float"), row["op_name"], *row["op_data_shape"]
                put_once(known, key, _number(row["op_latency"], where), where, f"{row['op_name']} at {key[2:]}")
    # Of several types of numbers NNI takes float.
    types = sorted({str(key[0]) for key in known})
    if len(types) > 1 and "float" not in types:
        raise UserError(f"{path} holds times of several types, {', '.join(types)}, and none of float")
    known = {key[1:]: time for key, time in known.items() if key[0] == "float" or len(types) == 1}
    values: list[list[float]] = [[] for _ in space.decisions]
    for scope, keys in space.factors(input_shape(space, space.input_shape[1])):
        if len(scope) != 1 or None in keys.flat:
            continue  # refused below
        for option, (block, shape) in zip(space.decisions[scope[0]].options, keys.flat, strict=True):
            out = block.output_shape(shape)
            key = option, shape[2], shape[1], shape[0], out[0], -(-shape[1] // out[1])
            if key not in known:
                raise UserError(f"{path}: no line for {option} at {key[1:]} (width, height, in, out, stride)")
            values[scope[0]].append(known[key])
    return _by_layer(path, space, values, 0.0)


def layers_csv(path: Path, space: SearchSpace) -> Imported:
    """Our own table by layer and option. Raises UserError."""
    _, rows = read_csv(path, ("layer", "option", "ms"))
    cells: dict[tuple[str, str], float] = {}
    for line, row in rows:
        cell = row["layer"], row["option"]
        where = f"{path}, line {line}"
        put_once(cells, cell, _number(row["ms"], where), where, " ".join(cell).strip())
    values = []
    for decision in space.decisions:
        wanted = [(decision.name, option) for option in decision.options]
        for layer, option in wanted:
            if (layer, option) not in cells:
                raise UserError(f"{path}: no line for layer {layer}, option {option}")
        values.append([cells.pop(cell) for cell in wanted])
    sites = {site.name for site in space.sites if not site.given}
    for layer, option in cells:
        if option or layer not in {*sites, "base"}:
            raise UserError(f"{path}: {space.name} has no layer {layer} with option {option!r}")
    return _by_layer(path, space, values, sum(cells.values()))


class Format(NamedTuple):
    """A format: a function (file, space at its resolution) to the latencies in it, and their unit."""

    read: Callable[[Path, SearchSpace], Imported]
    unit: str


UNITS = {"s": ("seconds", 1e3), "ms": ("milliseconds", 1.0), "us": ("microseconds", 1e-3)}
"""Units of time by the name that --unit takes: in words, and in milliseconds."""

FORMATS: dict[str, Format] = {
    "proxylessnas": Format(by_key, "ms"),
    "ofa": Format(by_key, "ms"),
    "osnaslib": Format(osnaslib, "s"),
    "fbnet": Format(fbnet, "us"),
    "nni": Format(nni, "us"),
    "csv": Format(layers_csv, "ms"),
}
"""By name."""


def read_foreign(
    path: str | Path, form: str, space: SearchSpace, metric: str = LATENCY.name, unit: str | None = None
) -> Imported:
    """Read a table of another format.

    Args:
        unit: a name in `UNITS`, of times; None: the format's own.

    Raises:
        UserError: an unknown format, no such file, not that format, another space or resolution, a number that is
            negative or none, or a unit of time for what is none.
    """
    found = choose("format", form, FORMATS)
    if metric != LATENCY.name:
        if found.read is not osnaslib:
            raise UserError(f"{path}: this format holds latencies, not {metric}")
        if unit is not None:
            raise UserError(f"--unit {unit} is a unit of time, and {metric} is imported")
        return osnaslib(Path(path), space, metric)
    entries, base = found.read(Path(path), space)
    scale = UNITS[unit or found.unit][1]
    scaled = {
        key: Entry(scale * entry.value, scale * entry.median, scale * entry.spread, entry.count)
        for key, entry in entries.items()
    }
    return scaled, scale * base


def _names(block: Block, shape: Shape) -> list[list[str]]:
    """Keys of a block in ProxylessNAS's and once-for-all's tables, best first; several of one list are added up."""
    out = block.output_shape(shape)
    ends = f"input:{_hwc(shape)}-output:{_hwc(out)}"
    if isinstance(block, Conv):
        return [[f"Conv-{ends}"]] if block.kernel > 1 else [[f"Conv_1-{ends}"], [f"Conv_2-{ends}"]]
    if isinstance(block, GlobalPool):
        return [[f"AvgPool2D-{ends}"]]
    if isinstance(block, Head):
        pooled = (shape[0], 1, 1)
        apart = [f"AvgPool2D-input:{_hwc(shape)}-output:{_hwc(pooled)}"]
        apart.append(f"Logits-input:{_hwc(pooled)}-output:{block.classes}")
        return [[f"Logits-input:{_hwc(shape)}-output:{block.classes}"], apart]
    if not isinstance(block, InvertedResidual) or block.groups > 1:
        return []
    tail = f"kernel:{block.kernel}-stride:{block.stride}-idskip:{int(block.has_shortcut(shape[0]))}"
    hidden = next(part.output_shape(at)[0] for part, at in block.primitives(shape))
    se_act = f"-se:{int(block.se)}-hs:{int(block.act == 'hswish')}"
    ofa = [f"expanded_conv-{ends}-expand:{hidden}-{tail}{se_act}"]
    return [ofa] if block.se else [[f"expanded_conv-{ends}-expand:{block.expand}-{tail}"], ofa]


def _by_layer(path: Path, space: SearchSpace, values: Sequence[Sequence[float]], base: float) -> Imported:
    """Values per decision and option, spread over blocks; what does not depend on any decision is in the base.

    Where a block also stands in a place of its own, the base is less by it: a block has one cost in a table.
    """
    if [len(row) for row in values] != list(space.sizes):
        raise UserError(
            f"{path} has {len(values)} layers of {_span(len(row) for row in values)} options, {space.name} "
            f"{len(space.sizes)} of {_span(space.sizes)}"
        )
    met: dict[Key, list[float]] = defaultdict(list)
    fixed: list[Key] = []
    for scope, keys in space.factors(input_shape(space, space.input_shape[1])):
        if len(scope) > 1:
            raise UserError(
                f"{path}: a table by layer does not fit {space.name}, where a block depends on several choices"
            )
        for option, key in enumerate(keys.flat):
            if scope:
                met[key].append(values[scope[0]][option])
            else:
                fixed.append(key)
    for key in fixed:
        if key in met:
            base -= float(np.mean(met[key]))
    met |= {key: [0.0] for key in fixed if key not in met}
    entries: dict[Key, Entry] = {}
    for key, found in met.items():
        spread = float(np.subtract(*np.percentile(found, [75, 25])))
        entries[key] = Entry(float(np.mean(found)), float(np.median(found)), spread, len(found))
    return entries, base


def _timing(value: Any, where: str) -> Entry:
    """One entry of a YAML table: {mean, count, var}, or the mean alone."""
    if not isinstance(value, Mapping):
        mean = _number(value, where)
        return Entry(mean, mean)
    mean = _number(value.get("mean"), where)
    deviation = sqrt(_number(value.get("var", 0), where))
    return Entry(mean, mean, 1.349 * deviation, int(_number(value.get("count", 1), where)))  # as if normal


def _sum(entries: Sequence[Entry]) -> Entry:
    total, spread = sum(entry.value for entry in entries), sqrt(sum(entry.spread**2 for entry in entries))
    return Entry(total, total, spread, min(entry.count for entry in entries))


def _number(value: Any, where: str) -> float:
    return number_in(value, f"{where}: what it costs", at_least=0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(option: str) -> str:
    """FBNet's "ir_k3_s2" is k3e1 in two groups; candidates without an expansion have expansion 1."""
    return option.lower().removeprefix("ir_").replace("_s2", "_e1_g2").replace("_", "")


def _hwc(shape: Shape) -> str:
    return f"{shape[1]}x{shape[2]}x{shape[0]}"


def _span(sizes: Any) -> str:
    low, *_, high = sorted([*sizes] * 2) or [0, 0]
    return str(low) if low == high else f"{low} to {high}"
