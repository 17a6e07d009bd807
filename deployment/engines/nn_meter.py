"""nn-Meter: latencies of four devices, predicted by kernel from a graph and not measured (Zhang et al. 2021).

nn-Meter itself fetches what a device's predictor knows the first time that it is asked for.
"""

import logging
from functools import cache, partial
from pathlib import Path
from typing import Any

import onnx

from config_file.errors import UserError
from deployment.engines.engine import Engine, Floats, Layer, onnx_bytes, package

DEVICES = {
    "cortexA76cpu_tflite21": "Pixel 4, Cortex-A76 CPU, TFLite 2.1",
    "adreno640gpu_tflite21": "Mi 9, Adreno 640 GPU, TFLite 2.1",
    "adreno630gpu_tflite21": "Pixel 3 XL, Adreno 630 GPU, TFLite 2.1",
    "myriadvpu_openvino2019r2": "Intel Movidius NCS2, Myriad VPU, OpenVINO 2019 R2",
}
"""Devices by nn-Meter's names for their predictors, which --engine takes too."""


class Prediction:
    """A model's predicted milliseconds."""

    def __init__(self, name: str, ms: float) -> None:
        self._name, self._ms = name, ms

    def run(self, x: Floats) -> Floats:
        raise UserError(f"{self._name} predicts latencies; it runs nothing")

    def time(self, x: Floats, runs: int) -> list[float]:
        del x
        return [self._ms] * runs


def load(name: str, model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> Prediction:
    """The prediction of a device for a model. Raises UserError where nn-Meter is not installed, or has no answer."""
    del threads, optimise  # as in the measurements that it was fitted to
    graph = onnx.load_from_string(onnx_bytes(model))
    try:
        predicted = _predictor(name).predict(graph, model_type="onnx")
    except UserError:
        raise
    except Exception as error:  # of its converter, its predictors, or its download
        raise UserError(f"nn-Meter does not predict this for {name}: {' '.join(str(error).split())}") from error
    return Prediction(name, float(predicted))


@cache
def _predictor(name: str) -> Any:
    meter = package(name, "nn_meter", "nn-meter")
    logging.getLogger("nn-Meter").setLevel(logging.ERROR)  # it has a line to say for every graph
    return meter.load_latency_predictor(name)


def _version(name: str) -> str:
    return f"nn-Meter {package(name, 'nn_meter', 'nn-meter').__version__}, predicted"


PREDICTORS = {
    name: Engine(name, partial(_version, name), partial(load, name), lambda device=device: device)  # type: ignore[misc]
    for name, device in DEVICES.items()
}
