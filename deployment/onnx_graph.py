"""Rewrites of an exported ONNX graph towards the few operations that every mobile engine runs well."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

Arrays = dict[str, np.ndarray]


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite what the exporters write differently, or what engines run badly.

    A mean over height and width becomes GlobalAveragePool, a product with a constant matrix a Gemm whose matrix is
    outputs x inputs (transB=1: the only form that every converter takes for a fully connected layer), and a batch norm
    Mul + Add: the exporters fold one into the convolution before it, but not one that follows something else (a
    concatenation, an addition, an activation). Names, which hold those of sites, lose their blanks.
    """
    _join_names(model.graph)
    model = infer_shapes(model)
    graph = model.graph
    constants: Arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in (*graph.input, *graph.value_info)}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            nodes.extend(_scale_and_shift(node, constants, graph))
        elif node.op_type == "ReduceMean" and _is_global_mean(node, constants, ranks):
            nodes.append(helper.make_node("GlobalAveragePool", node.input[:1], node.output, node.name))
        elif _is_fully_connected(node, constants, ranks):
            nodes.append(_fully_connected(node, constants, graph))
        else:
            nodes.append(node)
    _replace(graph.node, nodes)
    read = {name for node in nodes for name in node.input}
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in read])
    return infer_shapes(model)


def open_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Open the batch of a graph that was traced with a batch of 1; the leading dimension becomes ``batch``.

    Holds for networks whose every tensor keeps the batch first; a Reshape then copies its leading size from its input.
    Parity on several batch sizes is what proves it for a given network.
    """
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    sizes = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in sizes:
            tensor = sizes[node.input[1]]
            wanted = numpy_helper.to_array(tensor)
            if wanted[0] in (0, 1):
                tensor.CopyFrom(numpy_helper.from_array(np.concatenate(([0], wanted[1:])), tensor.name))
                # By default a size of 0 is copied from the input; the attribute would make it an empty tensor.
                _replace(node.attribute, [attribute for attribute in node.attribute if attribute.name != "allowzero"])
    return infer_shapes(model)


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write the shape of every intermediate tensor into the graph, afresh.

    Raises:
        onnx.shape_inference.InferenceError: a node contradicts the shapes that reach it.
    """
    del model.graph.value_info[:]
    return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what exporters write about the machine they ran on: stack traces with paths, doc strings, metadata."""
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        holder.doc_string = ""
        del holder.metadata_props[:]
    return model


def _join_names(graph: onnx.GraphProto) -> None:
    """Join the words of names: ncnn's files of networks set names apart by blanks, and it crashes on others."""
    named = [*graph.initializer, *graph.value_info, *graph.input, *graph.output]
    read = (name for node in graph.node for name in (*node.input, *node.output))
    values, nodes = _joined({item.name for item in named}.union(read)), _joined({node.name for node in graph.node})
    for item in named:
        item.name = values[item.name]
    for node in graph.node:
        node.name = nodes[node.name]
        node.input[:] = [values[name] for name in node.input]
        node.output[:] = [values[name] for name in node.output]


def _joined(names: set[str]) -> dict[str, str]:
    """Per name the one without blanks, different ones for different names."""
    joined = {name: name for name in names if len(name.split()) < 2}
    for name in sorted(names - joined.keys()):
        new = "_".join(name.split())
        while new in names or new in joined.values():
            new += "_"
        joined[name] = new
    return joined


def _scale_and_shift(node: onnx.NodeProto, constants: Arrays, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    weight, bias, mean, variance = (constants[name].astype(np.float64) for name in node.input[1:5])
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    scale = weight / np.sqrt(variance + epsilon)
    output = node.output[0]
    names = []
    for kind, values in (("scale", scale), ("shift", bias - mean * scale)):
        names.append(f"{output}_{kind}")
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32).reshape(-1, 1, 1), names[-1]))
    return [
        helper.make_node("Mul", [node.input[0], names[0]], [f"{output}_scaled"], f"{node.name}_scale"),
        helper.make_node("Add", [f"{output}_scaled", names[1]], [output], f"{node.name}_shift"),
    ]


def _is_fully_connected(node: onnx.NodeProto, constants: Arrays, ranks: dict[str, int]) -> bool:
    """True for a product (rows, inputs) x constant (inputs, outputs)."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in constants:
        return False
    attributes = _attributes(node)
    plain = not attributes.get("transA") and not attributes.get("transB")
    return plain and ranks.get(node.input[0]) == 2 and constants[node.input[1]].ndim == 2


def _fully_connected(node: onnx.NodeProto, constants: Arrays, graph: onnx.GraphProto) -> onnx.NodeProto:
    matrix = f"{node.input[1]}_transposed"
    if all(tensor.name != matrix for tensor in graph.initializer):  # one matrix may serve several products
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(constants[node.input[1]].T), matrix))
    inputs = [node.input[0], matrix, *node.input[2:]]
    return helper.make_node("Gemm", inputs, node.output, node.name, **_attributes(node) | {"transB": 1})


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _is_global_mean(node: onnx.NodeProto, constants: Arrays, ranks: dict[str, int]) -> bool:
    attributes = _attributes(node)
    # Opset 18 made the axes an input.
    axes = constants.get(node.input[1]) if len(node.input) > 1 else attributes.get("axes")
    if axes is None or attributes.get("keepdims", 1) != 1 or ranks.get(node.input[0]) != 4:
        return False
    return sorted(int(axis) % 4 for axis in axes) == [2, 3]


def _replace(repeated: object, values: list) -> None:
    del repeated[:]  # type: ignore[attr-defined]
    repeated.extend(values)  # type: ignore[attr-defined]
