"""ncnn on the CPU, in float32, from ONNX by its converter pnnx."""

import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from config_file.errors import UserError
from deployment.engines.engine import Engine, Floats, Layer, OneByOne, onnx_bytes, package

NAME = "ncnn"


class NcnnSession(OneByOne):
    """A net, from the files that pnnx left in a folder."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._ncnn = package(NAME, "ncnn")
        self._net: Any = self._ncnn.Net()
        self._net.opt.num_threads = threads
        for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self._net.opt, half, False)
        self._net.load_param(str(folder / "model.ncnn.param"))
        self._net.load_model(str(folder / "model.ncnn.bin"))

    def one(self, x: Floats) -> Floats:
        extractor = self._net.create_extractor()
        extractor.input("in0", self._ncnn.Mat(np.ascontiguousarray(x[0])).clone())
        _, outputs = extractor.extract("out0")
        return np.array(outputs, dtype=np.float32)[None]


def load(model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> NcnnSession:
    """A net on the CPU; pnnx optimises always. Raises UserError where it is missing, or does not take the graph."""
    del optimise
    package(NAME, "ncnn")
    found = find_spec("pnnx")
    if found is None or found.origin is None:
        package(NAME, "pnnx")
        raise UserError("pnnx is not where its package is")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = onnx_bytes(model)
        (folder / "model.onnx").write_bytes(graph)
        (given,) = onnx.load_from_string(graph).graph.input
        shape = ",".join(str(size.dim_value or 1) for size in given.type.tensor_type.shape.dim)
        command = [str(Path(found.origin).with_name("pnnx")), "model.onnx", f"inputshape=[{shape}]f32", "fp16=0"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode or not (folder / "model.ncnn.bin").is_file():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"status {done.returncode}"]
            raise UserError(f"pnnx does not accept the graph: {last[0]}")
        return NcnnSession(folder, threads)


ENGINE = Engine(NAME, lambda: f"ncnn {package(NAME, 'ncnn').__version__}, float32", load)
