"""Pickles of plain data, read without unpickling: the file's instructions are interpreted here, and none of them calls.

A pickle may name any function and have it called with any arguments, so a downloaded one is a program. CIFAR's
original files are pickles, though of nothing but dicts, lists, strings, numbers and numpy arrays; these are built here.
So are tables of published benchmarks.
"""

import io
import pickletools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config_file.readers.door import MEBI, read_bytes, reading

_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MOST_BUILDS = 100  # each looks through all that is remembered
_NUMBERS = re.compile(r"[<>|=]?[uifb][1248]")


class _Mark:
    """The mark on the stack where a group of items begins."""


class _EmptyArray:
    """An array whose shape, type and content are still to come."""


class _Name(str):
    """A function or class by the name the pickle gives it; only ever compared."""


def load_arrays(path: Path, at_most: int = 256 * MEBI) -> Any:
    """The content of a pickle of dicts, lists, tuples, strings, numbers and arrays; strings of Python 2 as latin-1.

    Args:
        at_most: bytes of the file.

    Raises:
        UserError: the file is damaged, or asks for anything else.
    """
    return load_all_arrays(path, at_most)[0]


def load_all_arrays(path: Path, at_most: int = 256 * MEBI) -> list[Any]:
    """The contents of the pickles that stand in a file one after another, at least one. Raises as `load_arrays`."""
    content = read_bytes(path, at_most)
    stream = io.BytesIO(content)
    found: list[Any] = []
    with reading(path, "is damaged or not a pickle of plain arrays"):
        while not found or stream.tell() < len(content):
            found.append(_interpret(stream))
    return found


def _interpret(content: io.BytesIO) -> Any:  # noqa: C901, PLR0915 - one case per instruction, as the format has them
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    built = 0
    argument: Any
    for opcode, argument, _ in pickletools.genops(content):
        match opcode.name:
            case name if name in _VALUES:
                stack.append(argument)
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name]())
            case name if name in _TUPLES:
                stack.append(tuple(_pop(stack, _TUPLES[name])))
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_Mark())
            case "TUPLE":
                stack.append(tuple(_pop_to_mark(stack)))
            case "LIST":
                stack.append(_pop_to_mark(stack))
            case "DICT":
                stack.append(_pairs(_pop_to_mark(stack)))
            case "APPEND" | "APPENDS" as name:
                items = _pop_to_mark(stack) if name == "APPENDS" else _pop(stack, 1)
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS" as name:
                items = _pop_to_mark(stack) if name == "SETITEMS" else _pop(stack, 2)
                stack[-1].update(_pairs(items))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_Name(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                stack.append(_Name(".".join(_pop(stack, 2))))
            case "REDUCE":
                name, arguments = _pop(stack, 2)
                stack.append(_construct(name, arguments))
            case "BUILD":
                built += 1
                if built > _MOST_BUILDS:
                    raise ValueError(f"it holds more than {_MOST_BUILDS} arrays")
                unfinished, state = _pop(stack, 2)
                finished = _finish(unfinished, state)
                memo = {key: finished if value is unfinished else value for key, value in memo.items()}
                stack.append(finished)
            case "STOP":
                return stack[-1]
            case other:
                raise ValueError(f"it holds the instruction {other}")
    raise ValueError("it has no end")


def _construct(name: Any, arguments: Sequence[Any]) -> Any:
    """The result of the few functions that arrays are pickled with."""
    match str(name).replace("numpy._core.", "numpy.core."), arguments:
        case "numpy.core.multiarray._reconstruct", _:
            return _EmptyArray()
        case "numpy.core.numeric._frombuffer", (bytes() | bytearray() as data, dtype, shape, order):
            return np.frombuffer(bytearray(data), dtype=dtype).reshape(shape, order=order)
        case "numpy.core.multiarray.scalar", (np.dtype() as dtype, bytes() as data) if dtype.kind in "uifb":
            return np.frombuffer(data, dtype)[0].item()
        case "numpy.dtype", (str() as text, *_) if _NUMBERS.fullmatch(text):
            return np.dtype(text)
        case "_codecs.encode", (str() as text, "latin1"):  # how protocol 2 of Python 3 spells bytes
            return text.encode("latin1")
        case "__builtin__.bytes", ():  # and so no bytes at all
            return b""
    raise ValueError(f"it asks for {name!s:.60} of {len(arguments)} arguments")


def _finish(unfinished: Any, state: Any) -> Any:
    """Give an array or a number type what follows it."""
    match unfinished, state:
        case _EmptyArray(), (_, shape, np.dtype() as dtype, fortran, data):
            content = data.encode("latin1") if isinstance(data, str) else data
            if not isinstance(content, bytes | bytearray):
                raise ValueError(f"an array of {type(content).__name__}")
            return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape, order="F" if fortran else "C")
        case np.dtype(), (_, "<" | ">" | "|" as byte_order, None, None, None, *_):
            return unfinished.newbyteorder(byte_order)
    raise ValueError(f"it gives a {type(unfinished).__name__} a state")


def _pop(stack: list[Any], count: int) -> list[Any]:
    if len(stack) < count:
        raise ValueError("its stack is empty")
    items = stack[-count:]
    del stack[-count:]
    return items


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    for start in range(len(stack) - 1, -1, -1):
        if isinstance(stack[start], _Mark):
            items = stack[start + 1 :]
            del stack[start:]
            return items
    raise ValueError("a group has no beginning")


def _pairs(items: Sequence[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))
