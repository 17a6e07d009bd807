"""The JSON file of a lookup table: readable, one entry per line, and refused unless it is whole.

{"format": "oneshot-nas lookup table", "version": 3, "metric": "flops", "unit": "MACs", ...,
 "entries": [{"block": {...}, "input_shape": [C, H, W], "value": 1, "median": 1, "spread": 0, "count": 1}, ...],
 "checksum": "..."}
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.files import atomic_write_bytes
from config_file.readers.checksum import BLANK, FIELD, check_json, sealed_json
from config_file.readers.door import decoded, put_once, read_bytes
from config_file.readers.form import check_form
from config_file.readers.json_text import parse_json
from config_file.readers.numbers import number_in

FORMAT = "oneshot-nas lookup table"
VERSION = 3

_NOT_OURS = "is not a lookup table of this toolkit; python -m lookup_tables build makes one"

_HEADER = {
    "metric": str,
    "scale?": float,
    "offset?": float,
    "resolution": int,
    "in_channels": int,
    "space_options": dict,
    "entries": list,
}
"""The fields that a reader counts with; what else is said is for people."""

_NUMBERS = ("value", "median", "spread", "count")


@dataclass(frozen=True)
class Entry:
    """The cost of one block at one input shape.

    Args:
        value: what a look-up uses, in the table's unit.
        median: of the samples.
        spread: their interquartile range.
        count: how many there were; a count of operations is one sample without spread.
    """

    value: float
    median: float
    spread: float = 0
    count: int = 1


def write_table(path: str | Path, header: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table atomically: metadata by name, and entries as in this file's example."""
    head = {"format": FORMAT, "version": VERSION, **header}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    entries = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    end = f'\n  "entries": [\n{entries}\n  ],\n  "{FIELD}": "{BLANK}"\n}}\n'
    atomic_write_bytes(path, sealed_json("{\n" + "\n".join(lines) + end))


def read_table(path: str | Path) -> tuple[dict[str, Any], dict[str, Entry]]:
    """The header and the entries by `entry_key`.

    Raises:
        UserError: no such file, truncated or damaged, not a table of ours, of a newer version, or changed since.
    """
    if not Path(path).exists():
        raise UserError(f"lookup table {path}: no such file")
    data = read_bytes(path)
    try:
        content = parse_json(decoded(data, path), f"lookup table {path}")
    except UserError:
        if is_table(path):
            raise
        raise UserError(f"{path} {_NOT_OURS}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} {_NOT_OURS}")
    if content.get("version") in (1, 2):
        raise UserError(f"lookup table {path}: of an earlier version; make it again")
    if content.get("version") != VERSION:
        raise UserError(f"lookup table {path}: version {content.get('version')!r:.60} is not known, only {VERSION}")
    check_json(data, f"lookup table {path}")
    check_form(content, _HEADER, f"lookup table {path}")
    rows = content.pop("entries")
    entries: dict[str, Entry] = {}
    for number, row in enumerate(rows, 1):
        where = f"lookup table {path}, entry {number}"
        check_form(row, {"block": dict, "input_shape": [int], **dict.fromkeys(_NUMBERS, float)}, where)
        numbers = [number_in(row[name], f"{where}: {name}", at_least=0) for name in _NUMBERS]
        put_once(entries, entry_key(row["block"], row["input_shape"]), Entry(*numbers), where, "its block")
    return content, entries


def is_table(path: str | Path) -> bool:
    """True for a lookup table of ours, whole or not."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return FORMAT.encode() in file.read(200)


def entry_key(block: Mapping[str, Any], input_shape: Sequence[int]) -> str:
    """The key of an entry: the block as plain data and its input shape, as canonical JSON."""
    return json.dumps([block, list(input_shape)], sort_keys=True)
