"""numpy's files: .npz archives and .npy arrays of numbers and text, of no more memory than their content fills."""

import io
import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.readers.door import MEBI, read_bytes, reading

MOST_BYTES = 4096 * MEBI
_FREE, _MOST_RATIO = 64 * MEBI, 200  # beyond the first MEBI, content that is compressed further is a trap
_KINDS = "biufcSU"


def array_names(path: str | Path) -> set[str]:
    """The names of the arrays in an .npz file. Raises UserError if it is none."""
    with reading(path, "is not an .npz file"):
        return set(_members(zipfile.ZipFile(io.BytesIO(read_bytes(path, MOST_BYTES))), path))


def read_arrays(path: str | Path, needed: Collection[str], optional: Collection[str] = ()) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file by name; of the `optional` ones those that are there.

    Raises:
        UserError: the file is truncated, damaged (its checksums say so) or no .npz, lacks an array, has one twice,
            holds objects instead of numbers and text, or asks for more memory than its content fills.
    """
    with reading(path, "is truncated, damaged or not an .npz file"):
        archive = zipfile.ZipFile(io.BytesIO(read_bytes(path, MOST_BYTES)))
        members = _members(archive, path)
        missing = [name for name in needed if name not in members]
        if missing:
            raise UserError(f"{path}: it has no array {missing[0]!r} (needed: {', '.join(needed)})")
        wanted = {name: members[name] for name in (*needed, *optional) if name in members}
        for info in wanted.values():
            if info.file_size > max(_FREE, _MOST_RATIO * info.compress_size):
                raise UserError(f"{path}: {info.filename} would unfold to {info.file_size // MEBI} MB")
        # Reading a member to its end compares its checksum.
        return {name: _array(archive.read(info), f"{path}, {name}") for name, info in wanted.items()}


def read_array(path: str | Path) -> NDArray[Any]:
    """The array of an .npy file. Raises UserError as `read_arrays`."""
    return _array(read_bytes(path, MOST_BYTES), path)


def _members(archive: zipfile.ZipFile, path: str | Path) -> dict[str, zipfile.ZipInfo]:
    names = [info.filename for info in archive.infolist()]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: {name} is in it twice")
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _array(content: bytes, where: str | Path) -> NDArray[Any]:
    with reading(where, "is damaged, or not an array in numpy's format"):
        file = io.BytesIO(content)
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version[0]}.{version[1]} of the format")
        shape, fortran, dtype = read_header(file)
        if dtype.kind not in _KINDS or dtype.fields is not None or dtype.itemsize == 0:
            raise ValueError(f"it holds {dtype}, not numbers or text")
        start = file.tell()
        if any(size < 0 for size in shape) or prod(shape) * dtype.itemsize != len(content) - start:
            raise ValueError(f"{len(content) - start} bytes for the shape {shape} of {dtype}")
        if not prod(shape) and max(shape) > MEBI:
            raise ValueError(f"the shape {shape}")
        # A copy: what it was read from cannot be written to, and is let go.
        flat = np.frombuffer(bytearray(content)[start:], dtype)
        return flat.reshape(shape, order="F" if fortran else "C")
