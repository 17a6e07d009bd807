"""JSON and JSON lines: every key once, numbers that are numbers, and no deeper than anybody writes."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.readers.checksum import FIELD, check_json
from config_file.readers.door import check_plain, decoded, read_bytes, reading

OURS = "oneshot-nas "
"""How the names of the formats of our files begin."""

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
    return _parse_object(decoded(read_bytes(path), path if where is None else where), path if where is None else where)


def read_sealed(path: str | Path, form: str, where: str | Path | None = None) -> dict[str, Any]:
    """The object in a file that `config_file.files.write_sealed` wrote, without its checksum.

    Args:
        form: the format that it says it has, of which the last word is a version.

    Raises:
        UserError: as `read_object`, it does not match its checksum, or is of another format or version.
    """
    where = path if where is None else where
    data = read_bytes(path)
    content = _parse_object(decoded(data, where), where)
    if content.pop(FIELD, None) is not None:
        check_json(data, where)
    check_format(content.get("format"), form, where)
    check_json(data, where)
    return content


def read_json_of_anybody(path: str | Path, where: str | Path) -> Any:
    """As `read_json`; what says that it is a file of ours must match its checksum, which is left out.

    Raises:
        UserError: as `read_json`, or it does not match it.
    """
    data = read_bytes(path)
    content = parse_json(decoded(data, where), where)
    if isinstance(content, dict) and (str(content.get("format")).startswith(OURS) or content.pop(FIELD, None)):
        check_json(data, where)
        content.pop(FIELD, None)
    return content


def check_format(found: Any, form: str, where: str | Path) -> None:
    """Raises UserError where a file says another format, or another version of it, than the one that is read."""
    if found != form:
        another = isinstance(found, str) and found.startswith(form.rstrip("0123456789"))
        why = f"of another version of this toolkit ({found:.60})" if another else "not one of this toolkit"
        raise UserError(f"{where} is {why}: {form!r} is read here")


def parse_json(text: str | bytes, where: str | Path) -> Any:
    """The JSON value that a text is. Raises UserError, which begins with `where`, as `read_json`."""
    with reading(where, "is truncated or damaged, not JSON"):
        content = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    check_plain(content, where)
    return content


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """All rows of a JSON-lines file; ``[]`` if there is none. A last line that its writer did not finish is left out.

    Raises:
        UserError: another line is damaged, or is not a JSON object.
    """
    return [_parse_object(line, where) for line, where in _lines(path)]


def read_sealed_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """As `read_jsonl`, of rows that `config_file.files.append_sealed` wrote, without their checksums.

    Raises:
        UserError: as `read_jsonl`, or a line does not match its checksum.
    """
    return list(sealed_rows(path))


def sealed_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of `read_sealed_jsonl`, one after another, for files of very many. Raises UserError as that."""
    for line, where in _lines(path):
        row = _parse_object(line, where)
        check_json(line, where)
        del row[FIELD]
        yield row


def is_torn(line: bytes) -> bool:
    """True for the beginning of a row, which its writer did not live to finish."""
    try:
        json.JSONDecoder().raw_decode(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return True
    return False  # a whole one, perhaps with something behind it that no writer left


def _lines(path: str | Path) -> Iterator[tuple[bytes, str]]:
    """The lines that are not empty, and how to call them in a message."""
    lines = read_bytes(path, MOST_JSONL).split(b"\n") if Path(path).exists() else []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not (number == len(lines) and is_torn(line)):
            yield line, f"{path}, line {number}"


def _parse_object(text: str | bytes, where: str | Path) -> dict[str, Any]:
    content = parse_json(text, where)
    if not isinstance(content, dict):
        raise UserError(f"{where} is damaged: not a JSON object")
    return content


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")
