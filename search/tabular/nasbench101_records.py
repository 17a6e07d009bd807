"""NAS-Bench-101's own files, nasbench_full.tfrecord and nasbench_only108.tfrecord.

A record is a JSON list: hash of the cell, epochs, adjacency and operations as text, and metrics in base64. These are a
protocol buffer: evaluations (field 1) before, half-way through and after the training, the parameters (field 2) and the
time in all. An evaluation has its epoch (1), the seconds of training (2), and the accuracies in training (3), on
validation (4) and on test images (5), all of 8 bytes. Every cell was trained three times; the table holds the means.
"""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from config_file.readers.door import reading
from config_file.readers.form import check_form
from config_file.readers.json_text import parse_json
from config_file.readers.records import read_records
from search.tabular.benchmark import Benchmark

_SECONDS, _VALIDATION, _TEST = 2, 4, 5


def nasbench101_of_records(path: Path) -> Benchmark:
    """The table in a file of records; it does not know FLOPs. Raises UserError where it is none."""
    sums: dict[int, dict[str, list[float]]] = {}
    params: dict[str, int] = {}
    for number, record in enumerate(read_records(path), start=1):
        where = f"{path}, record {number}"
        content = parse_json(record, where)
        check_form(content, [(str, int)], where)
        with reading(where, "is not one of NAS-Bench-101"):
            key, epochs, _, _, metrics = content
            evaluations, params[key] = _metrics(base64.b64decode(metrics, validate=True))
            last = evaluations[2]
            total = sums.setdefault(epochs, {}).setdefault(key, [0.0, 0.0, 0.0, 0.0])
            for position, amount in enumerate((1.0, last[_VALIDATION], last[_TEST], last[_SECONDS])):
                total[position] += amount
    with reading(path, "is not a table of NAS-Bench-101"):
        epochs = sorted(sums)
        hashes = list(sums[epochs[-1]])
        table = np.array([[sums[number][key] for key in hashes] for number in epochs])  # (F, N, 4)
        mean = table[..., 1:] / table[..., :1]
        return Benchmark(
            "nasbench101",
            "cifar10",
            np.array(hashes),
            tuple(epochs),
            mean[..., 0].T,
            mean[-1, :, 1],
            np.maximum.accumulate(mean[..., 2].T, axis=1),
            np.array([params[key] for key in hashes], dtype=np.float64),
            np.full(len(hashes), np.nan),
            keying="hash",
            notes=["from the benchmark's records, the means of their trainings; FLOPs are not known"],
        )


def _metrics(data: bytes) -> tuple[list[dict[int, float]], int]:
    """The evaluations, {field: number}, and the parameters."""
    evaluations, params = [], 0
    for field, value in _fields(data):
        if field == 1 and isinstance(value, bytes):
            evaluations.append({inner: _double(number) for inner, number in _fields(value) if inner <= _TEST})
        elif field == 2 and isinstance(value, int):
            params = value
    return evaluations, params


def _double(data: int | bytes) -> float:
    assert isinstance(data, bytes)
    return float(struct.unpack("<d", data)[0])


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of the fields of a message: an integer, or the bytes of a number or of what has a length."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            number, place = _varint(data, place)
            yield field, number
            continue
        length = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            length, place = _varint(data, place)
        if length is None or place + length > len(data):
            raise ValueError("its metrics are damaged")
        yield field, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """An integer of seven bits in each byte, and the place behind it."""
    number = 0
    for shift in range(0, 70, 7):
        number |= (data[place] & 0x7F) << shift
        place += 1
        if data[place - 1] < 0x80:
            return number, place
    raise ValueError("its metrics are damaged")
