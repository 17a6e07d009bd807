"""OpenVINO on the CPU, in float32; left to itself it takes bfloat16 where the processor has it."""

import io
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from deployment.engines.engine import Engine, Floats, Layer, OneByOne, onnx_bytes, package

NAME = "openvino"


class OpenVinoSession(OneByOne):
    """A request of a compiled model."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def one(self, x: Floats) -> Floats:
        (outputs,) = self._request.infer([x]).values()
        return outputs.copy()


def _openvino() -> ModuleType:
    # It reports home through this package, and does without where that is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return package(NAME, "openvino")


@cache
def _core() -> Any:
    # One for the process: it gives the main thread a stack for signals, and where two of them are freed in the order
    # they were made the freed stack of the first is left in use: the next Ctrl-C is then a segmentation fault.
    return _openvino().Core()


def load(model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> OpenVinoSession:
    """A request on the CPU; it optimises always. Raises UserError where it is not installed."""
    del optimise
    core = _core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(io.BytesIO(onnx_bytes(model))), "CPU", settings)
    return OpenVinoSession(compiled.create_infer_request())


ENGINE = Engine(NAME, lambda: f"OpenVINO {_openvino().__version__}, float32", load)
