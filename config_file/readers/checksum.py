"""Checksums: every file of ours that is read again carries one over all of its bytes.

It is the first 16 digits of the SHA-256 of the file, taken with these digits as zeros, and stands where the format has
a place for it: the last field of a JSON object or of a line of JSON lines, the metadata of a safetensors file, the
comment of a zip archive (a checkpoint, an .npz). It finds damage, and what was edited; it is no signature.
"""

import hashlib
import io
import re
from pathlib import Path

from config_file.errors import UserError

FIELD = "checksum"
BLANK = "0" * 16

_DIGITS = rb"([0-9a-f]{%d})" % len(BLANK)
_LAST_FIELD = re.compile(rb'"%b": "%b"\n?\}\n?\Z' % (FIELD.encode(), _DIGITS))
_METADATA = re.compile(rb'"%b":"%b"' % (FIELD.encode(), _DIGITS))
_COMMENT = re.compile(rb"PK\x05\x06.{16}%b%b\Z" % (len(BLANK).to_bytes(2, "little"), _DIGITS), re.DOTALL)
_END_OF_ZIP = 22  # bytes of the record that a zip archive without a comment ends with
_TAIL = 100  # bytes, more than any of the places at an end takes


def sealed_json(text: str) -> bytes:
    """JSON whose last field is a blank checksum, with the checksum."""
    data = bytearray(text, "utf-8")
    _seal(data, _at_the_end(_LAST_FIELD, data))
    return bytes(data)


def sealed_tensors(content: bytes) -> bytearray:
    """A safetensors file whose metadata have a blank checksum, with the checksum."""
    data = bytearray(content)
    _seal(data, _in_metadata(data))
    return data


def seal_zip(file: io.BytesIO) -> None:
    """Give a zip archive in memory, which has no comment yet, its checksum as the comment."""
    file.seek(-2, io.SEEK_END)
    file.write(len(BLANK).to_bytes(2, "little") + BLANK.encode())
    with file.getbuffer() as data:
        _seal(data, _at_the_end(_COMMENT, data))


def is_sealed_zip(data: bytes) -> bool:
    """True for a zip archive with a comment of the length of a checksum, damaged or not."""
    return data[-_END_OF_ZIP - len(BLANK) :].startswith(b"PK\x05\x06")


def check_json(data: bytes, where: str | Path) -> None:
    """Raises UserError where a JSON object does not end with the checksum that it should have."""
    _check(data, _at_the_end(_LAST_FIELD, data), where)


def check_tensors(data: bytes, where: str | Path) -> None:
    """Raises UserError where a safetensors file does not have the checksum that it should have in its metadata."""
    _check(data, _in_metadata(data), where)


def check_zip(data: bytes, where: str | Path) -> None:
    """Raises UserError where a zip archive does not have the checksum that it should have as its comment."""
    _check(data, _at_the_end(_COMMENT, data), where)


def _at_the_end(pattern: re.Pattern[bytes], data: bytes | bytearray | memoryview) -> int | None:
    start = max(0, len(data) - _TAIL)
    found = pattern.search(bytes(data[start:]))
    return None if found is None else start + found.start(1)


def _in_metadata(data: bytes | bytearray) -> int | None:
    found = _METADATA.search(data, 8, 8 + int.from_bytes(data[:8], "little"))
    return None if found is None else found.start(1)


def _seal(data: bytearray | memoryview, place: int | None) -> None:
    assert place is not None
    data[place : place + len(BLANK)] = _digits(data, place)


def _check(data: bytes, place: int | None, where: str | Path) -> None:
    if place is None:
        raise UserError(f"{where}: it has no checksum: damaged, edited, or of an earlier version")
    if data[place : place + len(BLANK)] != _digits(data, place):
        raise UserError(f"{where}: it does not match its checksum: damaged or edited")


def _digits(data: bytes | bytearray | memoryview, place: int) -> bytes:
    found, view = hashlib.sha256(), memoryview(data)
    found.update(view[:place])
    found.update(BLANK.encode())
    found.update(view[place + len(BLANK) :])
    return found.hexdigest()[: len(BLANK)].encode()
