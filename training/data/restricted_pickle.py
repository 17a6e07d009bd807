"""Reading pickled arrays without running what a pickle may ask for."""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from config_file.errors import UserError

# numpy's own constructors, taken from an array: their modules have other names in numpy 1 and 2.
_RECONSTRUCT = np.empty(1).__reduce_ex__(2)[0]
_FROM_BUFFER = np.empty(1).__reduce_ex__(5)[0]


def _bytes_of_text(text: str, encoding: str) -> bytes:
    """How protocol 2 of Python 3 spells bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


# All that pickles of plain arrays and containers name, whatever Python and numpy wrote them.
_ALLOWED = {
    ("_codecs", "encode"): _bytes_of_text,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def load_arrays(path: Path) -> Any:
    """The content of a pickle of dicts, lists, strings, numbers and numpy arrays; strings of Python 2 as latin-1.

    Raises:
        UserError: the file is damaged, or names anything else (a pickle may name any function to be called).
    """
    with path.open("rb") as file:
        return _load(file, path)


def _load(file: BinaryIO, path: Path) -> Any:
    try:
        return _ArrayUnpickler(file, encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} is not read: not a pickle of plain arrays ({error})") from None
    # A damaged pickle can fail in any of its operations.
    except (EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError, ImportError, MemoryError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
