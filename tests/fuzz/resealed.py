"""Damaged files with the checksum that they would have: their reader sees what is inside."""

from __future__ import annotations

import io
import json

from config_file.readers.checksum import BLANK, FIELD, seal_zip, sealed_json, sealed_tensors


def json_resealed(content: bytes) -> bytes:
    try:
        tree = json.loads(content)
        tree.pop(FIELD, None)
        return sealed_json(json.dumps(tree | {FIELD: BLANK}, indent=1) + "\n")
    except (ValueError, AttributeError, TypeError, RecursionError):
        return content


def jsonl_resealed(content: bytes) -> bytes:
    lines = []
    for line in content.split(b"\n"):
        try:
            tree = json.loads(line)
            tree.pop(FIELD, None)
            lines.append(sealed_json(json.dumps(tree | {FIELD: BLANK})))
        except (ValueError, AttributeError, TypeError, RecursionError):
            lines.append(line)
    return b"\n".join(lines)


def tensors_resealed(content: bytes) -> bytes:
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        header["__metadata__"][FIELD] = BLANK
        text = json.dumps(header, separators=(",", ":")).encode()
        return bytes(sealed_tensors(len(text).to_bytes(8, "little") + text + content[8 + length :]))
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError, OverflowError, MemoryError):
        return content


def zip_resealed(content: bytes) -> bytes:
    end = content.rfind(b"PK\x05\x06")
    if not 0 <= end <= len(content) - 20:  # its last record is not whole
        return content
    file = io.BytesIO(content[: end + 20] + b"\0\0")
    seal_zip(file)
    return file.getvalue()
