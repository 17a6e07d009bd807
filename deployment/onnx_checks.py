"""Checks of a graph before it is handed over. Every failure says what is wrong and where."""

import os
import re
import site
import sys
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, checker, shape_inference

from config_file.errors import UserError

# The plain operations of convolutional networks: what mobile engines and their converters run.
ALLOWED_OPS = frozenset(
    {
        *("Conv", "Gemm", "Add", "Mul"),
        *("Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid"),
        *("GlobalAveragePool", "ReduceMean", "AveragePool", "MaxPool"),
        *("Reshape", "Flatten", "Transpose", "Split", "Slice", "Concat"),
    }
)
_HINTS = {
    "Dropout": "a dropout is active although the network is in eval mode; call F.dropout with training=self.training",
    "BatchNormalization": "its statistics are not constants of the graph",
    "Shape": "a size is computed at run time; take it from the specification instead",
    "Gather": "mobile engines do not index tensors; use slices or splits",
}


def check_graph(model: onnx.ModelProto, *, opset: int, dynamic_batch: bool) -> None:
    """Hold a model against everything an engine will ask of it.

    Checked: the file format (onnx.checker with full_check), strict shape inference, the opset asked for and no other
    operator set, no local functions, only :data:`ALLOWED_OPS`, every dimension known (all but the batch where it is
    open), all weights inside the file, and no path of this machine in it.

    Raises:
        UserError: the first check that fails.
    """
    _check_operator_set(model, opset)
    _check_ops(model.graph)
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise UserError("the ONNX graph keeps weights outside the file")
    try:
        checker.check_model(model, full_check=True)
        inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise UserError(f"the ONNX graph is not valid: {' '.join(str(error).split())}") from error
    _check_shapes(inferred.graph, dynamic_batch)
    if leak := find_machine_path(model):
        raise UserError(f"the ONNX file would give away a path or a stack trace of this machine: {leak!r}")


def find_machine_path(model: onnx.ModelProto) -> str | None:
    """The first piece of text in the file (weights aside) that looks like a path or stack trace of this machine."""
    text_only = onnx.ModelProto()
    text_only.CopyFrom(model)
    for tensor in text_only.graph.initializer:
        tensor.ClearField("raw_data")
    folders = {str(Path.cwd()), str(Path.home()), sys.prefix, sys.base_prefix, tempfile.gettempdir()}
    folders |= {*site.getsitepackages()}
    # A folder of one level ("/tmp") cannot be told from the "/layer/Conv" names of the legacy exporter.
    patterns = [re.escape(folder) for folder in folders if folder.count(os.sep) >= 2]
    patterns += [r'File "', r"site-packages", r"Traceback", r"[\w./\\-]+\.py\b"]
    found = re.search("|".join(patterns).encode(), text_only.SerializeToString())
    return found.group().decode(errors="replace") if found else None


def _check_operator_set(model: onnx.ModelProto, opset: int) -> None:
    used = {imported.domain or "ai.onnx": imported.version for imported in model.opset_import}
    if used != {"ai.onnx": opset}:
        written = ", ".join(f"{domain} {version}" for domain, version in used.items())
        raise UserError(
            f"asked for opset {opset}, the exporter wrote {written}; ask for that, or try the other exporter"
        )
    if model.functions:
        raise UserError(f"the ONNX graph holds local functions: {', '.join(f.name for f in model.functions)}")


def _check_ops(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.op_type not in ALLOWED_OPS:
            hint = _HINTS.get(node.op_type, f"mobile engines are known to run {', '.join(sorted(ALLOWED_OPS))}")
            raise UserError(f"the ONNX graph holds {node.op_type} (node {node.name!r}): {hint}")


def _check_shapes(graph: onnx.GraphProto, dynamic_batch: bool) -> None:
    values = {value.name: value for value in (*graph.input, *graph.output, *graph.value_info)}
    for name in (*values, *(name for node in graph.node for name in node.output)):
        if name not in values:
            raise UserError(f"the ONNX graph does not say what shape {name!r} has")
        sizes = values[name].type.tensor_type.shape.dim
        for axis, size in enumerate(sizes):
            if size.dim_value <= 0 and not (dynamic_batch and axis == 0):
                known = [str(each.dim_value or each.dim_param or "?") for each in sizes]
                raise UserError(f"the ONNX graph leaves the shape of {name!r} open: ({', '.join(known)})")
    for value in (*graph.input, *graph.output):
        if dynamic_batch and not value.type.tensor_type.shape.dim[0].dim_param:
            raise UserError(f"asked for an open batch, the exporter fixed that of {value.name!r}")
