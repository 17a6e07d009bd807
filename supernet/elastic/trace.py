"""A network traced: the steps of its forward pass as blocks, with the module that each was found at.

Tracing is `torch.fx`'s: the network runs once on a stand-in for the image, and what it does is written down. It runs
once more on tensors without storage, for the shapes. Where that cannot be, because values decide what runs next or
because an operation is not known, a line names the node.
"""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from config_file.errors import UserError
from supernet.blocks import Block, Identity, Shape
from supernet.elastic import operations as ops
from supernet.spec import INPUT
from supernet.torch_blocks import Activate, Flat, MeanTo

MOST_NODES = 20_000
BATCH = 2


@dataclass(frozen=True)
class Step:
    """One step of a forward pass.

    Args:
        name: unique; that of its module, or of the module whose forward pass it stands in and its own.
        block: at the network's own width; an identity where several inputs are merged.
        inputs: names of steps that are read, or "input".
        shape: (C, H, W) of its output; of features (F, 1, 1).
        merge: sum, product or concat of several inputs.
        module: path of the module whose tensors it uses.
    """

    name: str
    block: Block
    inputs: tuple[str, ...]
    shape: Shape
    merge: str = "sum"
    module: str | None = None


def trace(network: nn.Module, image: Shape) -> list[Step]:
    """The steps of a network on one image (C, H, W), in the order they run; the last one is the output.

    Args:
        network: is left as it is; it is traced in eval mode.

    Raises:
        UserError: it cannot be traced, or does what no block stands for; one line that names the node.
    """
    network = deepcopy(network).to("meta").eval()
    graph = _graph(network)
    values = _Values(fx.GraphModule(network, graph))
    with torch.no_grad():
        values.run(torch.empty((BATCH, *image), device="meta"))
    return _Steps(network, graph, values.found).steps


class _Tracer(fx.Tracer):
    def to_bool(self, obj: fx.Proxy) -> bool:
        raise UserError(
            f"its forward pass decides by a value what to run ({_at(obj.node)}{_line()}), which cannot be traced"
        )


def _graph(network: nn.Module) -> fx.Graph:
    parameters = list(inspect.signature(network.forward).parameters.values())
    fixed = {p.name: p.default for p in parameters[1:] if p.default is not inspect.Parameter.empty}
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in plain or len(fixed) < len(parameters) - 1:
        raise UserError("its forward pass must take one image tensor, and nothing else without a default")
    tracer = _Tracer()
    try:
        graph = tracer.trace(network, fixed or None)
    except UserError:
        raise
    except Exception as error:
        last = f" after {_at(next(iter(reversed(tracer.graph.nodes))))}" if hasattr(tracer, "graph") else ""
        reason = " ".join(str(error).split())
        raise UserError(f"cannot be traced{last}{_line(error)}: {type(error).__name__}: {reason:.120}") from error
    if len(graph.nodes) > MOST_NODES:
        raise UserError(f"{len(graph.nodes):,} operations, more than {MOST_NODES:,}")
    return graph


def _line(error: BaseException | None = None) -> str:
    """The line of a network's own code that is running, or in which an error arose."""
    frames = traceback.extract_stack() if error is None else traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/torch/" not in f.filename and f.name not in ("to_bool", "_line", "_graph", "trace")]
    inside = own[-1] if own else None
    return f", {inside.filename.rpartition('/')[2]} line {inside.lineno}" if inside else ""


def _owner(node: fx.Node) -> str:
    """The path of the module in whose forward pass a node stands."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack else ""


def _at(node: fx.Node) -> str:
    what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    owner = _owner(node)
    inside = f" in {owner}" if owner and owner != what else ""
    return f"node {node.name}: {what}{inside}"


class _Values(fx.Interpreter):
    """A pass that keeps of every node its value, a tensor without storage or a plain one."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.found: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        try:
            self.found[n] = super().run_node(n)
        except Exception as error:
            reason = (str(error).split("\n") or [""])[0]
            raise UserError(f"{_at(n)} fails on images of this size: {reason:.200}") from error
        return self.found[n]


class _Steps:
    """The steps of a graph."""

    def __init__(self, network: nn.Module, graph: fx.Graph, values: Mapping[fx.Node, Any]) -> None:
        self.network, self.values = network, values
        self.steps: list[Step] = []
        self.read: dict[fx.Node, str] = {}  # per node the step that gives its value by now
        self.used: set[str] = set()  # modules with weights
        self.taken = {INPUT}
        (output,) = (node for node in graph.nodes if node.op == "output")
        result: Any = output.args[0]
        if not isinstance(result, fx.Node) or not isinstance(values[result], Tensor):
            raise UserError(f"it gives {type(values[output]).__name__}, not one tensor of outputs per class")
        if values[output].ndim != 2:
            raise UserError(f"it gives {tuple(values[output].shape[1:])} per image, not one number per class")
        needed = _needed(output)
        for node in graph.nodes:
            if node in needed and isinstance(values[node], Tensor) and node is not output:
                try:
                    self._take(node)
                except ops.UnknownError as error:
                    raise UserError(f"{_at(node)}: {error}") from None
        last = self.read[result]
        if not self.steps or self.steps[-1].name != last or isinstance(self.steps[-1].block, Identity):
            raise UserError(f"{_at(result)} gives the output, where a layer must stand")

    def _take(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self.read[node] = INPUT
            return
        if node.op == "get_attr":
            raise ops.UnknownError("a tensor that is read by itself, outside of a layer")
        if node.op == "call_module":
            self._module(node)
        else:
            self._function(node)

    def _module(self, node: fx.Node) -> None:
        path = str(node.target)
        module = self.network.get_submodule(path)
        block = ops.block_of_module(module)
        has_weights = bool(module.state_dict())
        if has_weights and path in self.used:
            raise ops.UnknownError("its weights are used a second time")
        self.used.add(path)
        source = _source(node)
        self._one(node, source, block, path, path if has_weights else None)
        if getattr(module, "inplace", False):
            self.read[source] = self.read[node]

    def _function(self, node: fx.Node) -> None:
        function, source = node.target, _source(node)
        name = f"{_owner(node)}.{re.sub(r'_[0-9]+$', '', node.name)}".lstrip(".")
        if function in ops.SUM or function in ops.PRODUCT:
            if node.kwargs:
                raise ops.UnknownError("a weighted sum")
            self._merge(node, [*node.args], "sum" if function in ops.SUM else "product", name)
        elif function in ops.RESHAPE:
            self._reshape(node, source, name)
        elif function in ops.CONCATENATION:
            dimension = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
            if dimension not in (1, 1 - len(self._shape(node))):
                raise ops.UnknownError("a concatenation of something else than channels")
            self._merge(node, [*source], "concat", name)
        else:
            self._call(node, source, name)
        if function in ops.IN_PLACE:
            self.read[source] = self.read[node]

    def _call(self, node: fx.Node, source: Any, name: str) -> None:
        function, arguments = node.target, [self._value(value) for value in node.args[1:]]
        settings = {key: self._value(value) for key, value in node.kwargs.items() if key != "input"}
        if ops.is_mean(function, arguments, settings):
            self._one(node, source, MeanTo(), name)
            if len(self._shape(node)) == 2:
                self._one(node, source, Flat(), f"{name}.flatten", reads=self.read[node])
        else:
            block = ops.block_of_function(function, arguments, settings)
            self._one(node, source, block, name)
            if isinstance(block, Activate) and (settings.get("inplace") or True in arguments):
                self.read[source] = self.read[node]  # whoever reads it later reads what it was changed to

    def _reshape(self, node: fx.Node, source: Any, name: str) -> None:
        before, after = self._shape(source), self._shape(node)
        if before == after:
            self._one(node, source, None, name)
        elif len(before) == 4 and after == (BATCH, before[1] * before[2] * before[3]):
            self._one(node, source, ops.flattened(before), name)
        else:
            raise ops.UnknownError(f"it makes {after[1:]} of {before[1:]}; only flattening is known")

    def _merge(self, node: fx.Node, sources: list[Any], merge: str, name: str) -> None:
        if not all(isinstance(source, fx.Node) and isinstance(self.values[source], Tensor) for source in sources):
            raise ops.UnknownError(f"a {merge} with something else than the network's own tensors")
        shapes = [self._shape(source) for source in sources]
        if merge == "sum" and len(set(shapes)) > 1:
            raise ops.UnknownError(f"a sum of tensors of different shapes, {' and '.join(str(s[1:]) for s in shapes)}")
        self._add(node, Identity(), tuple(self.read[source] for source in sources), name, merge)

    def _one(
        self, node: fx.Node, source: Any, block: Block | None, name: str, module: str | None = None, reads: str = ""
    ) -> None:
        """A step that reads one other, or none where it changes nothing."""
        if not isinstance(source, fx.Node) or not isinstance(self.values[source], Tensor):
            raise ops.UnknownError("it reads no tensor")
        if block is None:
            self.read[node] = self.read[source]
        else:
            self._add(node, block, (reads or self.read[source],), name, module=module)

    def _add(
        self, node: fx.Node, block: Block, inputs: tuple[str, ...], name: str, merge: str = "sum",
        module: str | None = None,
    ) -> None:  # fmt: skip
        unique = next(n for n in (name, *(f"{name}.{k}" for k in range(2, MOST_NODES + 2))) if n not in self.taken)
        self.taken.add(unique)
        shape = self._shape(node)
        self.steps.append(Step(unique, block, inputs, _three(shape), merge, module))
        self.read[node] = unique

    def _shape(self, node: fx.Node) -> tuple[int, ...]:
        shape = tuple(self.values[node].shape)
        if len(shape) not in (2, 4) or shape[0] != BATCH:
            raise ops.UnknownError(f"it gives {shape[1:]} per image, where maps and features are known")
        return shape

    def _value(self, argument: Any) -> Any:
        """An argument as the plain value that it had, where it is one."""
        if isinstance(argument, fx.Node):
            value = self.values[argument]
            if isinstance(value, Tensor):
                raise ops.UnknownError("an operation of several tensors that an elastic network does not know")
            return value
        return type(argument)(map(self._value, argument)) if isinstance(argument, (list, tuple)) else argument


def _source(node: fx.Node) -> Any:
    """The tensor that an operation reads, or the list of them."""
    source = node.args[0] if node.args else node.kwargs.get("input")
    if source is None:
        raise ops.UnknownError("it reads no tensor that can be told")
    return source


def _three(shape: tuple[int, ...]) -> Shape:
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[1], 1, 1)


def _needed(output: fx.Node) -> set[fx.Node]:
    """The nodes that the output is computed from."""
    found, waiting = {output}, [output]
    while waiting:
        for node in waiting.pop().all_input_nodes:
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found
