"""NAS-Bench-101's own records, made by protobuf's library of the published message and framed as TensorFlow frames."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from config_file.errors import UserError
from config_file.readers.records import masked_crc32c, read_records
from search.tabular import find_benchmark
from search.tabular.cli import main

HASHES = ("00005c142e6f48ac74fdcf73e3439874", "f" * 32)


def message() -> Any:
    """The class of NAS-Bench-101's ModelMetrics, of its model_metrics.proto."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="nasbench", syntax="proto2")
    evaluation = file.message_type.add(name="EvaluationData")
    names = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
    for number, name in enumerate(names, start=1):
        evaluation.field.add(name=name, number=number, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL)
    evaluation.field.add(name="checkpoint_path", number=6, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    metrics = file.message_type.add(name="ModelMetrics")
    metrics.field.add(
        name="evaluation_data", number=1, type=kinds.TYPE_MESSAGE, label=kinds.LABEL_REPEATED,
        type_name=".nasbench.EvaluationData",
    )  # fmt: skip
    metrics.field.add(name="trainable_parameters", number=2, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    metrics.field.add(name="total_time", number=3, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))


METRICS = message()


def record(key: str, epochs: int, validation: float, seconds: float, params: int = 8_555_530) -> bytes:
    metrics = METRICS(trainable_parameters=params, total_time=1.5 * seconds)
    for part in (0, 0.5, 1):
        metrics.evaluation_data.add(
            current_epoch=part * epochs, training_time=part * seconds, train_accuracy=1.0,
            validation_accuracy=part * validation, test_accuracy=part * (validation - 0.01), checkpoint_path="/x",
        )  # fmt: skip
    encoded = base64.b64encode(metrics.SerializeToString()).decode()
    return json.dumps([key, epochs, "0110", "input,conv3x3-bn-relu,output", encoded]).encode()


def framed(content: bytes) -> bytes:
    length = len(content).to_bytes(8, "little")
    checks = (masked_crc32c(part).to_bytes(4, "little") for part in (length, content))
    return length + next(checks) + content + next(checks)


def records() -> list[bytes]:
    """Two cells, three trainings of each."""
    return [
        record(key, epochs, 0.5 + epochs / 400 + repeat / 100, 10.0 * epochs + repeat)
        for key in HASHES
        for epochs in (4, 12, 36, 108)
        for repeat in range(3)
    ]


def test_the_checksum_is_the_published_one() -> None:
    """CRC-32C of "123456789" is E3069283 (RFC 3720 has the algorithm), masked as TensorFlow does."""
    crc = 0xE3069283
    assert masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_table_of_the_benchmarks_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("full.tfrecord").write_bytes(b"".join(map(framed, records())))
    main(["convert", "--benchmark", "nasbench101", "--file", "full.tfrecord"])
    found = find_benchmark("nasbench101", None, "tables/nasbench101_cifar10.npz")
    edges = (1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1)
    row = found.row((*edges, 0, 2, 0, 0, 1))  # the cell of the first hash, 3x3, max pool, 3x3, 3x3, 1x1
    assert found.keys[row] == HASHES[0]
    assert found.epochs == (4, 12, 36, 108)
    assert found.validation[row].tolist() == pytest.approx([0.52, 0.54, 0.6, 0.78])
    assert found.test[row] == pytest.approx(0.77)
    assert found.seconds[row].tolist() == pytest.approx([41, 121, 361, 1081])
    assert found.params[row] == 8_555_530
    assert found.scores["flops"][0].tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no records at all", "is truncated, damaged or not a TFRecord file"),
        (framed(records()[0])[:-9], "is truncated"),
        (framed(b"[1, 2]"), "record 1 is not one of NAS-Bench-101"),
        (framed(b"{}"), "record 1: its content must be a list"),
        (framed(json.dumps([HASHES[0], 4, "", "", "AAAA"]).encode()), "record 1 is not one of NAS-Bench-101"),
        (b"", "is not a table of NAS-Bench-101"),
    ],
)
def test_what_is_no_such_file_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tfrecord"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        main(["convert", "--benchmark", "nasbench101", "--file", str(path), "--output", str(tmp_path / "t.npz")])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_records_of_any_number_are_read_one_by_one(tmp_path: Path) -> None:
    contents = [b"", b"a", bytes(1000)]
    (tmp_path / "x").write_bytes(b"".join(map(framed, contents)))
    assert list(read_records(tmp_path / "x")) == contents
