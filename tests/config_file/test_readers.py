"""The doors of outside files: damage of each kind is one short line, good files are read as their own libraries do."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save

from config_file.errors import LONGEST, UserError
from config_file.readers.arrays import read_array, read_arrays
from config_file.readers.csv_text import read_csv
from config_file.readers.door import reading
from config_file.readers.form import check_form
from config_file.readers.json_text import read_json, read_jsonl
from config_file.readers.numbers import number_in
from config_file.readers.tensors import read_tensors
from config_file.readers.yaml_text import read_mapping, read_yaml

DEEP = "[" * 3000
DIGITS = "9" * 400


def refused(read: Callable[[Path], Any], content: bytes | str, *words: str) -> None:
    path = Path("file")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError) as caught:
        read(path)
    text = str(caught.value)
    assert all(word in text for word in (str(path), *words)), text
    assert len(text) <= LONGEST + 10
    assert "\n" not in text


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "'b' is there twice"),
        ('{"a": [1, 2', "JSON"),
        ("", "JSON"),
        (DEEP, "JSON"),
        ("[" * 100 + "]" * 100, "deeper than 64"),
        ("[Infinity]", "Infinity"),
        ("[NaN]", "NaN"),
        ("[1e999]", "finite"),
        (f"[{DIGITS}]", "64 bits"),
        ("[" + "9" * 5000 + "]", "JSON"),
        (r'["\ud800"]', "half a character"),
        (r'{"\ud800": 1}', "half a character"),
        (b'["\xff"]', "UTF-8"),
        ('{"a": "b\n"}', "JSON"),
    ],
)
def test_json_is_refused(content: bytes | str, word: str) -> None:
    refused(read_json, content, word)
    if isinstance(content, str) and "\n" not in content and content:
        refused(read_jsonl, "{}\n" + content + "\n", "line 2")


def test_json_is_read_as_its_library_reads_it() -> None:
    content = {"a": [1, -2.5e-7, None, True, "ä\U0001f600"], "b": {"c": 2**63, "d": -(2**63)}}
    Path("file").write_text("\ufeff" + json.dumps(content), encoding="utf-8")
    assert read_json("file") == content


def test_a_torn_last_row_is_left_out() -> None:
    Path("file").write_text('{"a": 1}\n\n{"a": 2}\n{"a": ')
    assert read_jsonl("file") == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("read", [read_mapping, read_yaml])
@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("a: 1\nb: 2\na: 3", "'a' is set twice"),
        ("a: {b: 1, b: 2}", "'b' is set twice"),
        ("~: 1", "a key must be text"),
        ("a: !!int abc", "YAML"),
        ("a: !!python/name:os.system", "YAML"),
        ("a: " + DEEP, "deeper than 64"),
        ("a: &x [*x]", "alias"),
        ("? [1]\n: 2", "a key must be"),
        ("a: '" + "\\" * 30, "YAML"),
        (b"a: \xff", "UTF-8"),
        ("a: \x00", "YAML"),
        ("a: !!timestamp 2026-01-01", "is not a number"),
        ("a: !!binary aGFsbG8=", "is not a number"),
        ("a: !!float 1e999", "finite"),
    ],
)
def test_yaml_is_refused(read: Callable[[Path], Any], content: bytes | str, word: str) -> None:
    refused(read, content, word)


def test_aliases_of_aliases_are_refused_before_they_unfold() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    refused(read_yaml, "\n".join(lines), "unfold")
    chain = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200)]
    refused(read_yaml, "\n".join(chain), "unfold")


def test_yaml_is_read_as_its_library_reads_it() -> None:
    text = "base: &base {a: 1, b: 2.5e-3}\nother:\n  <<: *base\n  b: [true, null, text, 0x10, *base]\n"
    Path("file").write_text(text)
    assert read_yaml("file") == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "empty"),
        ("a,b,a\n1,2,3\n", "'a' is there twice"),
        ("a,b\n1\n", "line 2"),
        ("a,b\n1,2,3\n", "line 2"),
        ("b,c\n1,2\n", "expected the columns a"),
        ("a,b\n1," + "x" * 200_000, "comma-separated"),
        (b"a,b\n\xff,1\n", "UTF-8"),
    ],
)
def test_a_table_is_refused(content: bytes | str, word: str) -> None:
    refused(lambda path: read_csv(path, ["a"]), content, word)


def test_a_table_is_read() -> None:
    Path("file").write_text('\ufeffa, b,,\n\n1," x, y ",,\r\n', encoding="utf-8")
    columns, rows = read_csv("file", ["a", "b"])
    assert columns == ["a", "b", "", ""]
    assert rows == [(3, {"a": "1", "b": "x, y", "": ""})]


def archive(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def stored(header: str, content: bytes = b"") -> bytes:
    """An .npy file with a header of our choice."""
    text = header.encode() + b" " * (64 - (10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members:
            target.writestr(name, content)
    return file.getvalue()


NOT_ARRAYS = [
    stored("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"),
    stored("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", b"12345678"),
    stored("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", b"1234"),
    stored("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"1234"),
    stored("{'descr': '<U0', 'fortran_order': False, 'shape': (999999999,)}"),
    stored("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 0)}"),
    stored("{'descr': '<f4', "),
    stored("((((" * 1000),
    b"",
    b"\x93NUMPY\x09\x00",
]


@pytest.mark.parametrize("content", NOT_ARRAYS)
def test_an_array_is_refused(content: bytes) -> None:
    refused(read_array, content)
    refused(lambda path: read_arrays(path, ["a"]), zipped(("a.npy", content)), "a")


def test_an_archive_is_refused() -> None:
    good = archive(a=np.arange(1000) ** 2 % 997, b=np.zeros(3))
    read = lambda path: read_arrays(path, ["a", "b"])  # noqa: E731 - one case of many
    refused(read, archive(a=np.zeros(3)), "'b'")
    refused(read, archive(a=np.zeros(3), b=np.array([{}])), "not numbers or text")
    refused(read, b"PK\x03\x04xx")
    for end in range(0, len(good), 50):
        refused(read, good[:end])
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped(("a.npy", b"1"), ("b.npy", b"1"), ("a.npy", b"2"))
    refused(read, twice, "a.npy is in it twice")
    trap = zipped(("a.npy", stored("{'descr': '|u1', 'fortran_order': False, 'shape': (100000000,)}", bytes(10**8))))
    refused(lambda path: read_arrays(path, ["a"]), trap, "unfold")


def test_a_flipped_bit_of_an_archive_is_noticed() -> None:
    good = archive(a=np.arange(1000) ** 2 % 997)
    expected = read_arrays_of(good)
    noticed = 0
    for position in range(60, 600, 9):
        bad = bytearray(good)
        bad[position] ^= 4
        try:
            assert np.array_equal(read_arrays_of(bytes(bad)), expected)
        except UserError:
            noticed += 1
    assert noticed > 50


def read_arrays_of(content: bytes) -> Any:
    Path("file").write_bytes(content)
    return read_arrays("file", ["a"])["a"]


@pytest.mark.parametrize(
    "array", [np.arange(12.0).reshape(3, 4).T, np.array(["é", "bc"]), np.zeros((0, 3)), np.array(3)]
)
def test_arrays_are_read_as_numpy_reads_them(array: Any) -> None:
    Path("file").write_bytes(archive(a=array))
    found = read_arrays("file", ["a"], ["c"])
    assert list(found) == ["a"]
    assert found["a"].dtype == array.dtype
    assert np.array_equal(found["a"], array)
    assert found["a"].flags.writeable


def test_tensors() -> None:
    tensors = {"x": torch.arange(6.0).reshape(2, 3), "y": torch.tensor(3)}
    good = save(tensors, {"format": "mine"})
    Path("file").write_bytes(good)
    metadata, found = read_tensors("file", hashlib.sha256(good).hexdigest())
    assert metadata == {"format": "mine"}
    with pytest.raises(UserError, match="of another run"):
        read_tensors("file", hashlib.sha256(good[1:]).hexdigest())
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    for end in range(0, len(good), 7):
        refused(read_tensors, good[:end], "safetensors")
    header = (
        b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    )
    refused(read_tensors, len(header).to_bytes(8, "little") + header + bytes(8), "'x' is there twice")
    header = b'{"x":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}'
    refused(read_tensors, len(header).to_bytes(8, "little") + header + bytes(4), "safetensors")


def test_a_file_that_cannot_be_one() -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    places = {"missing": "no such file", "folder": "not a file", "/dev/zero": "not a file", "pipe": "not a file"}
    for path, word in {**places, "loop": "in a circle", "n" * 300: "too long"}.items():
        for read in (read_json, read_yaml, read_csv, read_array, read_tensors):
            with pytest.raises(UserError, match=word):
                read(path)  # type: ignore[operator]


def test_numbers() -> None:
    assert number_in("1e-3", "here") == 1e-3
    assert number_in(3, "here", at_least=3) == 3
    for value in ("", "x", "nan", "inf", "1_0", "1" * 400, "1e200", 10**400, 1e200, True, None, [1], "-1"):
        with pytest.raises(UserError, match="here must be a number of at least 0"):
            number_in(value, "here", at_least=0)
    with pytest.raises(UserError, match="here must be a number above 0, not 0"):
        number_in(0, "here", above=0)


def test_forms() -> None:
    form = {"a": [int], "b?": {"c": (str, None)}, "d": {...: float}}
    check_form({"a": [], "d": {}, "e": 1}, form, "f")
    check_form({"a": [1], "b": {"c": None}, "d": {"x?": 1, "y": 0.5}}, form, "f")
    for content, words in (
        (3, "f: its content must be an object, not 3"),
        ({"d": {}}, "f: it lacks 'a'"),
        ({"a": [1, True], "d": {}}, r"f: a\[1\] must be an integer, not true"),
        ({"a": [], "b": {"c": [1]}, "d": {}}, r"f: b.c must be text or null, not \[1\]"),
        ({"a": [], "d": {"x": "1"}}, "f: d.x must be a number, not"),
    ):
        with pytest.raises(UserError, match=words):
            check_form(content, form, "f")


def test_whatever_goes_wrong_is_one_short_line() -> None:
    for error in (ValueError("a\nb" * 1000), KeyError("k" * 10**5), RecursionError(), OSError(2, "x"), MemoryError()):
        with pytest.raises(UserError) as caught, reading("file", "no table"):
            raise error
        assert len(str(caught.value)) <= LONGEST + 10
        assert str(caught.value).startswith(("file: ", "file no table"))
    with pytest.raises(UserError, match=r"^file: of theirs$"), reading("file"):
        raise UserError("of theirs")
    with pytest.raises(KeyboardInterrupt), reading("file"):
        raise KeyboardInterrupt


def test_a_message_is_cut_and_printable() -> None:
    text = str(UserError("begin " + "x" * 10**6 + " end\n\x1b[31m \ud800"))
    assert len(text) < LONGEST + 30
    assert text.startswith("begin x")
    assert "end" in text
    assert text.isprintable()
    assert text.encode()
