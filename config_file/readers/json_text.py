"""JSON and JSON lines: every key once, numbers that are numbers, and no deeper than anybody writes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.readers.door import check_plain, decoded, read_bytes, reading

MOST_JSONL = 2**32


def read_json(path: str | Path, where: str | Path | None = None) -> Any:
    """The content of a JSON file.

    Args:
        where: how to call the file in a message; by default its path.

    Raises:
        UserError: it cannot be read, is truncated or damaged, gives a key twice, or holds what `check_plain` refuses.
    """
    where = path if where is None else where
    return parse_json(decoded(read_bytes(path), where), where)


def read_object(path: str | Path, where: str | Path | None = None) -> dict[str, Any]:
    """As `read_json`, of a file that holds an object. Raises UserError where it holds something else."""
    content = read_json(path, where)
    if not isinstance(content, dict):
        raise UserError(f"{path if where is None else where} is damaged: not a JSON object")
    return content


def parse_json(text: str | bytes, where: str | Path) -> Any:
    """The JSON value that a text is. Raises UserError, which begins with `where`, as `read_json`."""
    with reading(where, "damaged, not JSON"):
        content = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    check_plain(content, where)
    return content


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """All rows of a JSON-lines file; ``[]`` if there is none. A torn last line (no newline, not JSON) is left out.

    Raises:
        UserError: a line other than the last is damaged, or is not a JSON object.
    """
    if not Path(path).exists():
        return []
    lines = read_bytes(path, MOST_JSONL).split(b"\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(_row(line, f"{path}, line {number}"))
        except UserError:
            if number < len(lines):  # the last one has not even a newline: its writer was killed
                raise
    return rows


def is_row(line: bytes) -> bool:
    """True if a line is a whole row of a JSON-lines file."""
    try:
        _row(line, "")
    except UserError:
        return False
    return True


def _row(line: bytes, where: str) -> dict[str, Any]:
    content = parse_json(line, where)
    if not isinstance(content, dict):
        raise UserError(f"{where}: damaged, not a JSON object")
    return content


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")
