"""Engines that run and time networks on this machine. A new one is a file with an Engine, and a line here."""

from deployment.engines import mnn_cpu, ncnn_cpu, nn_meter, onnxruntime_cpu, openvino_cpu, pytorch
from deployment.engines.engine import Engine, Layer, Script, Session, onnx_bytes, run_batches

ENGINES: dict[str, Engine] = {
    "onnxruntime": onnxruntime_cpu.ENGINE,
    "pytorch": pytorch.CPU,
    "pytorch_cuda": pytorch.CUDA,
    "openvino": openvino_cpu.ENGINE,
    "mnn": mnn_cpu.ENGINE,
    "ncnn": ncnn_cpu.ENGINE,
    **nn_meter.PREDICTORS,
}
"""By the name that --engine takes."""

__all__ = ["ENGINES", "Engine", "Layer", "Script", "Session", "onnx_bytes", "run_batches"]
