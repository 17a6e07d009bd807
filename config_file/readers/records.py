"""TFRecord files: records of bytes one after another, read as a stream, however long the file is.

Each record is its length (8 bytes, little end first), a checksum of the length, the content, and a checksum of the
content. The first checksum is compared: it finds a file that is none, or is cut off or shifted. That of the content is
left to whoever reads it: computed here it would take longer than all the rest.
"""

from collections.abc import Iterator
from pathlib import Path

from config_file.errors import UserError
from config_file.readers.door import MEBI, reading

MOST_BYTES = MEBI
"""Of one record."""

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected


def _table() -> list[int]:
    found = []
    for value in range(256):
        rest = value
        for _ in range(8):
            rest = rest >> 1 ^ (_POLYNOMIAL if rest & 1 else 0)
        found.append(rest)
    return found


_TABLE = _table()


def masked_crc32c(data: bytes) -> int:
    """The checksum of the format: CRC-32C, rotated by 15 bits and moved by a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path: str | Path) -> Iterator[bytes]:
    """The contents of a file's records. Raises UserError where it is none, truncated, or holds a record too large."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    with reading(path), path.open("rb") as file:
        while head := file.read(12):
            length = int.from_bytes(head[:8], "little")
            if len(head) < 12 or int.from_bytes(head[8:], "little") != masked_crc32c(head[:8]):
                raise UserError(f"{path} is truncated, damaged or not a TFRecord file")
            if length > MOST_BYTES:
                raise UserError(f"{path}: a record of {length:,} bytes")
            body = file.read(length + 4)
            if len(body) < length + 4:
                raise UserError(f"{path} is truncated")
            yield body[:length]
