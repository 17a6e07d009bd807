"""onnxruntime on the CPU: the layer as an ONNX graph with batch norms folded."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime as ort
from torch import nn

from config_file.environment import describe_environment
from deployment.engines.engine import Engine, Run
from deployment.onnx_export import INPUT_NAME, to_onnx
from supernet import Shape

OPSET = 17


def prepare(layer: nn.Module, shape: Shape, threads: int) -> Run:
    """A session for the layer, fed with one image of small random numbers."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    # Threads that spin while others are measured would be measured too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = to_onnx(layer, shape, exporter="legacy", opset=OPSET).SerializeToString()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    feed = {INPUT_NAME: np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)}

    def run() -> float:
        start = time.perf_counter()
        session.run(None, feed)
        return (time.perf_counter() - start) * 1e3

    return run


ENGINE = Engine(lambda: f"onnxruntime {ort.__version__}", lambda: str(describe_environment()["processor"]), prepare)
