"""onnxruntime on the CPU: the ONNX graph with batch norms folded."""

import os
from functools import partial
from pathlib import Path

from config_file.errors import UserError
from deployment.engines.engine import Engine, Floats, Layer, Script, onnx_bytes, timed

# Otherwise it keeps an identity of the machine in the home folder and reports home; read when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort


class OnnxSession:
    """An onnxruntime session that takes one array and gives one."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    def run(self, x: Floats) -> Floats:
        outputs: Floats = self._session.run(None, {self._input: x})[0]
        return outputs

    def time(self, x: Floats, runs: int) -> list[float]:
        return timed(partial(self._session.run, None, {self._input: x}), runs)


def load(model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> OnnxSession:
    """A session on the CPU. Raises UserError where onnxruntime does not accept the graph."""
    levels = ort.GraphOptimizationLevel
    options = ort.SessionOptions()
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    # Threads that spin while other models are measured would be measured too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = onnx_bytes(model)
    try:
        return OnnxSession(ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # its exceptions have no common base
        name = model.name if isinstance(model, Path) else "the layer"
        raise UserError(f"onnxruntime does not accept {name}: {' '.join(str(error).split())}") from error


ENGINE = Engine(
    "onnxruntime",
    lambda: f"onnxruntime {ort.__version__}",
    load,
    script=Script(
        imports='import os\n\nos.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported\n'
        "import onnxruntime as ort",
        load='session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])',
        run='session.run(None, {{"{input}": x}})[0]',
    ),
)
