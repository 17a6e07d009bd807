"""Engines that measure blocks and networks on this machine. A new one is a file with an ENGINE, and a line here."""

from deployment.engines import onnxruntime_cpu, pytorch_cpu, pytorch_cuda
from deployment.engines.engine import Engine

ENGINES: dict[str, Engine] = {
    "onnxruntime": onnxruntime_cpu.ENGINE,
    "pytorch": pytorch_cpu.ENGINE,
    "pytorch_cuda": pytorch_cuda.ENGINE,
}
"""By the name that --engine takes."""
