"""safetensors files: a header that is read like any JSON, and tensors that are exactly what it says."""

import hashlib
from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from config_file.errors import UserError
from config_file.readers.checksum import FIELD, check_tensors
from config_file.readers.door import MEBI, read_bytes, reading
from config_file.readers.form import check_form
from config_file.readers.json_text import parse_json

MOST_BYTES = 16384 * MEBI
_DAMAGED = "is truncated or not a safetensors file"


def read_tensors(path: str | Path, sha256: str | None = None) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata of a safetensors file, and its tensors on the CPU.

    Args:
        sha256: of the file as it must be.

    Raises:
        UserError: no such file, truncated, damaged, changed or of another kind; a name that is there twice; a checksum
            among the metadata is not that of the file.
    """
    content = read_bytes(path, MOST_BYTES)
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise UserError(f"{path} is truncated, or of another run: its SHA-256 is not {sha256!s:.12}...")
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= len(content) - 8:
        raise UserError(f"{path} {_DAMAGED}")
    header = parse_json(content[8 : 8 + length], f"{path} {_DAMAGED}: its header")
    check_form(header, {"__metadata__?": {...: str}}, f"{path} {_DAMAGED}")
    metadata: dict[str, str] = header.get("__metadata__", {})
    with reading(path, _DAMAGED):
        tensors = load(content)
    if FIELD in metadata:
        check_tensors(content, path)
    return metadata, tensors
