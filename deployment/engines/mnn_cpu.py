"""MNN on the CPU, in float32, from ONNX by its own converter."""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from deployment.engines.engine import Engine, Floats, Layer, OneByOne, onnx_bytes, package, silent

NAME = "mnn"


class MnnSession(OneByOne):
    """A session of an interpreter."""

    def __init__(self, path: Path, threads: int) -> None:
        self._mnn = package(NAME, "MNN")
        self._interpreter = self._mnn.Interpreter(str(path))
        settings = {"backend": "CPU", "numThread": threads, "precision": "high"}
        self._session = self._interpreter.createSession(settings)

    def one(self, x: Floats) -> Floats:
        given = self._interpreter.getSessionInput(self._session)
        given.copyFrom(self._tensor(np.ascontiguousarray(x)))
        self._interpreter.runSession(self._session)
        taken = self._interpreter.getSessionOutput(self._session)
        host = self._tensor(np.zeros(taken.getShape(), np.float32))
        taken.copyToHostTensor(host)
        return np.array(host.getNumpyData(), dtype=np.float32).reshape(taken.getShape())

    def _tensor(self, values: Floats) -> Any:
        kinds = self._mnn.Halide_Type_Float, self._mnn.Tensor_DimensionType_Caffe
        return self._mnn.Tensor(values.shape, kinds[0], values, kinds[1])


def load(model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> MnnSession:
    """A session on the CPU; it optimises always. Raises UserError where it is not installed."""
    del optimise
    with tempfile.TemporaryDirectory() as folder, silent():
        package(NAME, "MNN")
        graph, converted = Path(folder) / "model.onnx", Path(folder) / "model.mnn"
        graph.write_bytes(onnx_bytes(model))
        # The converter alone: MNN's command around it installs packages and reports home.
        flags = {"-f": "ONNX", "--modelFile": graph, "--MNNModel": converted, "--bizCode": "none"}
        package(NAME, "_tools").mnnconvert(["mnnconvert", *(str(word) for flag in flags.items() for word in flag)])
        return MnnSession(converted, threads)


def _version() -> str:
    with silent():
        package(NAME, "MNN")
    return f"MNN {version('MNN')}, float32"


ENGINE = Engine(NAME, _version, load)
