"""Pickles of arrays, read without unpickling. The bytes are what Python and numpy wrote, recorded."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from config_file.errors import UserError
from training.data.pickled_arrays import load_arrays

# A dict of "data", the 1 x 3 array of 1, 255 and 3 in uint8, and "labels", the list of 7 and 300.
RECORDED = {
    "protocol 0, numpy 2": (
        b"(dp0\nVdata\np1\ncnumpy._core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nc_codecs\nencode\np5\n(Vb"
        b"\np6\nVlatin1\np7\ntp8\nRp9\ntp10\nRp11\n(I1\n(I1\nI3\ntp12\ncnumpy\ndtype\np13\n(Vu1\np14\nI00\nI01\ntp15\nRp16\n(I3"
        b"\nV|\np17\nNNNI-1\nI-1\nI0\ntp18\nbI00\ng5\n(V\x01\xff\x03\np19\ng7\ntp20\nRp21\ntp22\nbsVlabels\np23\n(lp24\nI7\na"
        b"I300\nas."
    ),
    "protocol 2, Python 2, numpy 1": (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87R"
        b"q\x05(K\x01K\x01K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff"
        b"\xffK\x00tb\x89U\x03\x01\xff\x03tbU\x06labelsq\x08]q\x09(K\x07M,\x01eu."
    ),
    "protocol 2, Python 3": (
        b"\x80\x02}q\x00(X\x04\x00\x00\x00dataq\x01cnumpy._core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00"
        b"\x85q\x04c_codecs\nencode\nq\x05X\x01\x00\x00\x00bq\x06X\x06\x00\x00\x00latin1q\x07\x86q\x08Rq\t\x87q\nRq\x0b(K\x01"
        b"K\x01K\x03\x86q\x0ccnumpy\ndtype\nq\rX\x02\x00\x00\x00u1q\x0e\x89\x88\x87q\x0fRq\x10(K\x03X\x01\x00\x00\x00|q\x11NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89h\x05X\x04\x00\x00\x00\x01\xc3\xbf\x03q\x13h\x07\x86q\x14Rq\x15t"
        b"q\x16bX\x06\x00\x00\x00labelsq\x17]q\x18(K\x07M,\x01eu."
    ),
    "protocol 4": (
        b"\x80\x04\x95\xab\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x04data\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c"
        b"_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x01"
        b"K\x03\x86\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff"
        b"\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x03\x01\xff\x03\x94t\x94b\x8c\x06labels\x94]\x94(K\x07M,\x01eu."
    ),
    "protocol 5": (
        b"\x80\x05\x95\x96\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x04data\x94\x8c\x13numpy._core.numeric\x94\x8c\x0b"
        b"_frombuffer\x94\x93\x94(\x96\x03\x00\x00\x00\x00\x00\x00\x00\x01\xff\x03\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93"
        b"\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\x01K\x03"
        b"\x86\x94\x8c\x01C\x94t\x94R\x94\x8c\x06labels\x94]\x94(K\x07M,\x01eu."
    ),
}


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "batch"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", RECORDED)
def test_every_way_an_array_is_pickled(tmp_path: Path, name: str) -> None:
    found = load_arrays(write(tmp_path, RECORDED[name]))
    assert list(found) == ["data", "labels"]
    assert found["data"].dtype == np.uint8
    assert found["data"].tolist() == [[1, 255, 3]]
    assert found["labels"] == [7, 300]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=">i4").reshape(3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3), dtype=np.float32),
        np.array([True, False]),
        np.arange(5, dtype=np.int64)[::2],
    ],
    ids=["byte order", "Fortran order", "empty", "bool", "strided"],
)
def test_shapes_types_and_orders(tmp_path: Path, array: np.ndarray) -> None:
    found = load_arrays(write(tmp_path, array.dumps()))
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


@pytest.mark.parametrize(
    "content",
    [
        b"cposix\nsystem\np0\n(Vtouch owned\np1\ntp2\nRp3\n.",
        b"\x80\x02cposix\nsystem\nq\x00X\x0b\x00\x00\x00touch ownedq\x01\x85q\x02Rq\x03.",
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x0btouch owned\x94\x85\x94R\x94.",
        b"(S'touch owned'\niposix\nsystem\n.",  # INST calls too
        b"(cposix\nsystem\nS'touch owned'\no.",  # and OBJ
        b"\x80\x02cposix\nsystem\n)\x81}b.",  # NEWOBJ
        b"cbuiltins\ngetattr\n(cnumpy\ndtype\nS'mro'\ntR.",
        np.array([{"a": 1}], dtype=object).dumps(),
    ],
    ids=["protocol 0", "protocol 2", "protocol 4", "inst", "obj", "newobj", "getattr", "array of objects"],
)
def test_nothing_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"batch is damaged or not a pickle of plain arrays: it (asks for|holds)"):
        load_arrays(write(tmp_path, content))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", RECORDED)
def test_every_truncation_is_an_error_in_one_line(tmp_path: Path, name: str) -> None:
    content = RECORDED[name]
    for length in range(len(content)):
        with pytest.raises(UserError) as error:
            load_arrays(write(tmp_path, content[:length]))
        assert "\n" not in str(error.value)


def test_every_changed_byte_is_read_or_refused(tmp_path: Path) -> None:
    content = RECORDED["protocol 4"]
    for place in range(len(content)):
        for change in (1, 0x80):
            changed = content[:place] + bytes([content[place] ^ change]) + content[place + 1 :]
            with suppress(UserError):
                load_arrays(write(tmp_path, changed))
