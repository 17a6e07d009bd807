"""Damage: a whole file in, a damaged one out. Everything is a function of the random generator that is handed in."""

from __future__ import annotations

import copy
import csv
import io
import json
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

Mutator = Callable[[bytes, Random], bytes]

DEEP = "[" * 3000
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, 10**400, -(10**30), 0.5, -0.0, 1e308, -1e308, 5e-324, 1e200, "",
    "x", "1", "nan", "\x00", "\ud800", "é" * 50, "y" * 200_000, "notes:leave_a_mark", "../../x", "~", [], {}, [[]],
    [None], [1, "x"], {"a": {}}, [[1]] * 3, [10**9] * 4, {"block": "Conv"},
)  # fmt: skip
WORDS = (
    "NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "1" + "0" * 5000, "-1", "0", "1000000000", "1e18", "null",
    "true", "[]", "{}", '""', DEEP, "{" * 2000, "\\ud800", "!!int abc", "!!python/object/apply:os.system [id]",
    "&a [*a]", "<<",
    "? [1]", "~", "\t", "\x00", "\ufeff", "0x10", "1_000", "notes:leave_a_mark", "12:30:45", ".inf", "'", '"', "#", ",",
    "z" * 200_000,
)  # fmt: skip


def flip_bit(content: bytes, rng: Random) -> bytes:
    bad = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    return bytes(bad)


def truncate(content: bytes, rng: Random) -> bytes:
    return content[: rng.choice((0, 1, rng.randrange(len(content)), rng.randrange(len(content)), len(content) - 1))]


def delete(content: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice((1, 1, 4, 50, 1000)) :]


def repeat(content: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(content))
    part = content[start : start + rng.choice((1, 8, 60, 1000))]
    return content[:start] + part * rng.choice((2, 2, 50)) + content[start + len(part) :]


def overwrite(content: bytes, rng: Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.choice((1, 2, 4, 8, 100))
    filling = rng.choice((b"\0" * length, b"\xff" * length, rng.randbytes(length), b"\x80\x02]" * length))
    return content[:start] + filling[:length] + content[start + length :]


def garbage(content: bytes, rng: Random) -> bytes:
    return rng.choice(
        (
            b"", b"\0", b"{", b"[", DEEP.encode(), b"PK\x03\x04xx", b"\x93NUMPY", b"\x80\x02.", b"null", b"3", b'"x"',
            b"[]", b"{}", b"\n" * 9, rng.randbytes(300), content[::-1], content * 3, b"\xff\xfe" + content,
            content.decode("latin-1").encode("utf-16"),
        )
    )  # fmt: skip


def replace_word(content: bytes, rng: Random) -> bytes:
    """A word or a number of a text, or a line of it, becomes something else."""
    text = content.decode("utf-8", "replace")
    starts = [i for i in range(len(text)) if text[i].isalnum() and (i == 0 or not text[i - 1].isalnum())]
    if not starts:
        return content
    start = rng.choice(starts)
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] in "._-+"):
        end += 1
    return (text[:start] + rng.choice(WORDS) + text[end:]).encode("utf-8", "surrogatepass")


def shuffle_lines(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines.insert(first, lines[second])
        case 1:
            del lines[first]
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case 3:
            lines[first] = rng.choice(WORDS).encode("utf-8", "surrogatepass")
    return b"\n".join(lines)


BYTES: tuple[Mutator, ...] = (flip_bit, flip_bit, truncate, delete, repeat, overwrite, garbage)
TEXT: tuple[Mutator, ...] = (*BYTES, replace_word, replace_word, shuffle_lines, shuffle_lines)


def change_tree(tree: Any, rng: Random) -> Any:
    """Replace, delete, rename, double or nest something in plain data."""
    tree = copy.deepcopy(tree)
    places: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            waiting.append(node[key])
    if not places:
        return rng.choice(VALUES)
    node, key = rng.choice(places)
    match rng.randrange(9):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice(("", "x", "search_space", "\ud800", "k" * 1000))] = node.pop(key)
        case 2 if isinstance(node, list):
            node.extend([node[key]] * rng.choice((1, 2, 1000)))
        case 3:
            for _ in range(rng.choice((1, 3, 70, 150))):
                node[key] = [node[key]]
        case 4 if isinstance(node[key], (int, float)) and not isinstance(node[key], bool):
            node[key] = rng.choice((-node[key], node[key] + 1, node[key] * 10**9, str(node[key]), node[key] // 3))
        case 5:
            other, place = rng.choice(places)
            node[key] = copy.deepcopy(other.get(place) if isinstance(other, dict) else None)
        case _:
            node[key] = rng.choice(VALUES)
    return tree


def spelled(tree: Any, indent: int | None = 1) -> bytes:
    """JSON with whatever Python lets through, however deep."""
    try:
        return json.dumps(tree, indent=indent).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError):
        return DEEP.encode()


def json_tree(content: bytes, rng: Random) -> bytes:
    tree = json.loads(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        tree = change_tree(tree, rng)
    return spelled(tree)


def json_key_twice(content: bytes, rng: Random) -> bytes:
    """A key that is there already, once more in front of one of the objects, with another value."""
    text = content.decode()
    keys = [i for i in range(len(text)) if text[i] == "{" and '"' in text[i : i + 10]]
    if not keys:
        return content
    place = rng.choice(keys)
    end = text.index('"', text.index('"', place) + 1) + 1
    return (
        text[: place + 1] + text[place + 1 : end] + ": " + rng.choice(("0", '"x"', "[]")) + ", " + text[place + 1 :]
    ).encode()


def jsonl_tree(content: bytes, rng: Random) -> bytes:
    lines = content.splitlines()
    place = rng.randrange(len(lines))
    lines[place] = spelled(change_tree(json.loads(lines[place]), rng), None)
    return b"\n".join(lines) + b"\n"


def csv_cell(content: bytes, rng: Random) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode())))
    row = rng.choice(rows)
    place = rng.randrange(len(row))
    match rng.randrange(5):
        case 0:
            for other in rows:
                other.append(other[place % len(other)])
        case 1:
            row.append("1")
        case 2:
            del row[place]
        case _:
            row[place] = rng.choice((*WORDS, "", " ", "1;2", "-5", "nan", "k3e1 skip", "0 0 9", "[0, 1]"))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def npz_arrays(content: bytes, rng: Random) -> bytes:
    """Arrays of other types, shapes and values; missing and doubled members."""
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    name = rng.choice(list(arrays))
    array = arrays[name]
    match rng.randrange(8):
        case 0:
            del arrays[name]
        case 1:
            arrays[name] = array.reshape(-1)[: rng.randrange(array.size + 1)]
        case 2 if array.dtype.kind in "iuf":
            with np.errstate(over="ignore"):
                arrays[name] = array.astype(rng.choice(("U5", "S3", "complex64", "float16", "?")))
        case 3:
            arrays[name] = array.reshape(1, *array.shape)
        case 4:
            arrays[name] = np.array(rng.choice((0, 1.5, "x", 10**18)))
        case 5 if array.dtype.kind == "f":
            arrays[name] = np.where(
                np.arange(array.size).reshape(array.shape) % 7, array, rng.choice((np.nan, np.inf, -5))
            )
        case 6 if array.dtype.kind in "iuf":
            arrays[name] = array * rng.choice((-1, 100, 0))
        case _:
            arrays[name] = array[:0]
    file_out = io.BytesIO()
    np.savez_compressed(file_out, **arrays)
    return file_out.getvalue()


def npz_header(content: bytes, rng: Random) -> bytes:
    """The header of one member, its archive's checksum made right again."""
    source = zipfile.ZipFile(io.BytesIO(content))
    chosen = rng.choice(source.namelist())
    file_out = io.BytesIO()
    with zipfile.ZipFile(file_out, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, npy_header(data, rng) if name == chosen else data)
    return file_out.getvalue()


def npy_header(content: bytes, rng: Random) -> bytes:
    end = content.index(b"\n") + 1
    header = bytearray(content[:end])
    words = (
        b"99999999999",
        b"-1",
        b"|O",
        b"<U0",
        b"((((",
        b"True",
        b"<f8",
        b"3,",
        b"'",
        b"{",
        b"<M8[s]",
        b"|V4",
        b"2**9**9",
    )
    word = rng.choice(words)
    place = rng.randrange(10, max(11, end - len(word)))
    header[place : place + len(word)] = word
    return bytes(header[:end]) + content[end:]


def safetensors_header(content: bytes, rng: Random) -> bytes:
    """Another header, whose length is said right."""
    length = int.from_bytes(content[:8], "little")
    header = (
        json_tree(content[8 : 8 + length], rng)
        if rng.random() < 0.7
        else rng.choice(TEXT)(content[8 : 8 + length], rng)
    )
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def safetensors_metadata(content: bytes, rng: Random) -> bytes:
    """One entry of the metadata, which is JSON itself, in another form."""
    length = int.from_bytes(content[:8], "little")
    tree = json.loads(content[8 : 8 + length])
    about = tree.get("__metadata__", {})
    name = rng.choice(list(about))
    try:
        about[name] = json_tree(about[name].encode(), rng).decode("utf-8", "replace")
    except ValueError:
        about[name] = rng.choice(WORDS)
    header = spelled(tree, None)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]
