from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from config_file.errors import UserError
from deployment.latency import measure_latency
from deployment.parity import check_parity

LOGITS = np.array([[1.0, 2.0, 3.0], [100.0, -50.0, 0.0]], np.float32)
IMAGES = np.array([0, 1], np.float32).reshape(2, 1, 1, 1)


def answers(path, logits):
    """An ONNX file that gives image i (a single pixel of value i) the i-th row of logits: (1 - i) row 0 + i row 1."""
    rows = np.asarray(logits, np.float32)
    nodes = [
        helper.make_node("Reshape", ["image", "flat"], ["pixel"]),
        helper.make_node("Gemm", ["pixel", "step", "first"], ["logits"]),
    ]
    constants = {"flat": np.array([-1, 1]), "step": rows[1:] - rows[:1], "first": rows[0]}
    graph = helper.make_graph(
        nodes,
        "answers",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 1, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_equal_logits_pass_and_are_measured(tmp_path):
    near = LOGITS + np.array([[0, 0, 5e-5], [5e-3, 0, 0]], np.float32)
    parity = check_parity(answers(tmp_path / "a.onnx", near), IMAGES, LOGITS, batch_sizes=(1, 2))
    assert parity["images"] == 2
    assert parity["max_difference"] == pytest.approx(5e-3, rel=1e-2)
    assert parity["max_relative"] == pytest.approx(5e-5, rel=1e-2)  # relative to max(1, |logit|), per logit
    assert parity["same_top1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([[0, 0, 4e-4], [0, 0, 0]], "image 0 differs .* by 4.0"),
        ([[0, 0, 0], [0, 0, 2e-4]], "image 1 differs"),  # a large logit elsewhere does not excuse a small one
        ([[0, 0, 0], [2e-2, 0, 0]], "image 1 differs"),
        ([[0, float("nan"), 0], [0, 0, 0]], "differs"),
    ],
)
def test_different_logits_fail(tmp_path, change, message):
    path = answers(tmp_path / "a.onnx", LOGITS + np.array(change, np.float32))
    with pytest.raises(UserError, match=message):
        check_parity(path, IMAGES, LOGITS)


def test_another_class_fails_however_near(tmp_path):
    tie = np.array([[1.0, 1.00001, 0.0], [0, 0, 1]], np.float32)
    other = np.array([[1.00002, 1.00001, 0.0], [0, 0, 1]], np.float32)
    with pytest.raises(UserError, match="image 0 becomes class 0, PyTorch says 1"):
        check_parity(answers(tmp_path / "a.onnx", other), IMAGES, tie)


def test_another_number_of_classes_fails(tmp_path):
    with pytest.raises(UserError, match="shape"):
        check_parity(answers(tmp_path / "a.onnx", LOGITS), IMAGES, LOGITS[:, :2])


def test_a_damaged_file_fails(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"\x08\x07not a graph")
    with pytest.raises(UserError, match=r"onnxruntime does not accept a\.onnx"):
        check_parity(path, IMAGES, LOGITS)


def test_latency_says_what_it_is_of(tmp_path):
    latency = measure_latency(answers(tmp_path / "a.onnx", LOGITS), IMAGES[:1], runs=5, warmup=1)
    assert 0 < latency["min_ms"] <= latency["median_ms"]
    assert latency["threads"] == 1
    assert latency["engine"].startswith("onnxruntime ")
    assert "processor" in latency
