"""The JSON file of a lookup table: readable, one entry per line, and refused unless it is whole.

{"format": "oneshot-nas lookup table", "version": 2, "metric": "flops", "unit": "MACs", ..., "checksum": "...",
 "entries": [{"block": {...}, "input_shape": [C, H, W], "value": 1, "median": 1, "spread": 0, "count": 1}, ...]}
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.files import atomic_write_text
from config_file.readers.door import put_once
from config_file.readers.form import check_form
from config_file.readers.json_text import read_json
from config_file.readers.numbers import number_in

FORMAT = "oneshot-nas lookup table"
VERSION = 2

_NOT_OURS = "is not a lookup table of this toolkit; python -m lookup_tables build makes one"

_HEADER = {
    "metric": str,
    "scale?": float,
    "offset?": float,
    "resolution": int,
    "in_channels": int,
    "space_options": dict,
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
    head = {"format": FORMAT, "version": VERSION, **header, "checksum": _checksum(rows)}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    entries = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    atomic_write_text(path, "{\n" + "\n".join(lines) + f'\n  "entries": [\n{entries}\n  ]\n}}\n')


def read_table(path: str | Path) -> tuple[dict[str, Any], dict[str, Entry]]:
    """The header and the entries by `entry_key`.

    Raises:
        UserError: no such file, truncated or damaged, not a table of ours, of a newer version, or changed since.
    """
    if not Path(path).exists():
        raise UserError(f"lookup table {path}: no such file")
    try:
        content = read_json(path, f"lookup table {path}")
    except UserError:
        if is_table(path):
            raise
        raise UserError(f"{path} {_NOT_OURS}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} {_NOT_OURS}")
    if content.get("version") == 1:
        raise UserError(f"lookup table {path}: of an earlier version, with blocks in another form; make it again")
    if content.get("version") != VERSION:
        raise UserError(f"lookup table {path}: version {content.get('version')!r} is not known, only {VERSION}")
    rows = content.pop("entries", None)
    if not isinstance(rows, list) or _checksum(rows) != content.get("checksum"):
        raise UserError(f"lookup table {path}: its entries do not match their checksum: edited or damaged")
    check_form(content, _HEADER, f"lookup table {path}")
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


def _checksum(rows: Sequence[Any]) -> str:
    canonical = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
