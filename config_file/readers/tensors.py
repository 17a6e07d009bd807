"""safetensors files: a header that is read like any JSON, and tensors that are exactly what it says."""

from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from config_file.errors import UserError
from config_file.readers.door import MEBI, read_bytes, reading
from config_file.readers.form import check_form
from config_file.readers.json_text import parse_json

MOST_BYTES = 16384 * MEBI
_DAMAGED = "truncated, damaged or not a safetensors file"


def read_tensors(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor], bytes]:
    """The metadata of a safetensors file, its tensors on the CPU, and the bytes that both were read from.

    Raises:
        UserError: no such file, truncated, damaged or of another kind; a name that is there twice.
    """
    content = read_bytes(path, MOST_BYTES)
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= len(content) - 8:
        raise UserError(f"{path}: {_DAMAGED}")
    header = parse_json(content[8 : 8 + length], f"{path}: {_DAMAGED}")
    check_form(header, {"__metadata__?": {...: str}}, f"{path}: {_DAMAGED}")
    with reading(path, _DAMAGED):
        return header.get("__metadata__", {}), load(content), content
