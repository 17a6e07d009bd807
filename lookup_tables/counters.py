"""Tables that are counted: by our own arithmetic, or by a tool that traces the built layer and knows nothing of it.

All three counters count multiply-accumulates for one image and agree to the unit on convolution and linear layers and
on parameters. They differ in what they add:

- fvcore: 2 per element that a batch norm writes (1 without affine parameters), and 1 per element that an adaptive
  average pooling reads.
- thop: 4 per element that a batch norm writes (2 without affine parameters), and for an average pooling 1 per element
  that it writes; an adaptive one also 1 per element that it reads.

Nobody counts activations, residual additions, channel shuffles, or the mean and the scaling of a squeeze-excite.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from config_file.errors import UserError, choose
from config_file.progress import progress as shown
from lookup_tables.cost_table import CostTable, distinct_blocks
from lookup_tables.table_file import Entry
from supernet import Block, SearchSpace, Shape
from supernet.blocks import Head, Identity
from supernet.metrics import FLOPS, METRICS
from supernet.torch_blocks import Linear

OURS = "analytic"
CONVOLUTION, LINEAR, BATCH_NORM, POOLING = "convolution", "linear", "batch norm", "pooling"

KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: CONVOLUTION,
    nn.Linear: LINEAR,
    nn.BatchNorm2d: BATCH_NORM,
    nn.AdaptiveAvgPool2d: POOLING,
    nn.AvgPool2d: POOLING,
    nn.MaxPool2d: POOLING,
}
"""The kind of operator that a module is counted as."""

FVCORE_OPERATORS = {
    "conv": CONVOLUTION,
    "linear": LINEAR,
    "addmm": LINEAR,
    "batch_norm": BATCH_NORM,
    "adaptive_avg_pool2d": POOLING,
}


class Count(NamedTuple):
    """Multiply-accumulates and parameters of one block, and the former by operator."""

    macs: int
    params: int
    by_operator: Mapping[str, int]


def count_analytic(block: Block, input_shape: Shape) -> Count:
    """Count by the block's own arithmetic: convolution and linear layers."""
    operators: Counter[str] = Counter()
    for part, shape in block.primitives(input_shape):
        operators[LINEAR if isinstance(part, (Head, Linear)) else CONVOLUTION] += part.macs(shape)
    return Count(block.macs(input_shape), block.params(input_shape), operators)


def count_fvcore(block: Block, input_shape: Shape) -> Count:
    """Count by FlopCountAnalysis of fvcore: a trace of the operators of the built layer."""
    fvcore = _imported("fvcore.nn", "fvcore")
    layer, image = built(block, input_shape)
    analysis = fvcore.FlopCountAnalysis(layer, image)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    operators: Counter[str] = Counter()
    for name, macs in analysis.by_operator().items():
        operators[FVCORE_OPERATORS.get(name, name)] += int(macs)
    return Count(sum(operators.values()), fvcore.parameter_count(layer)[""], operators)


def count_thop(block: Block, input_shape: Shape) -> Count:
    """Count by thop's `profile`: hooks on the modules of the built layer."""
    thop = _imported("thop", "thop")
    layer, image = built(block, input_shape)  # a fresh one: thop leaves buffers behind in layers it has no rule for
    macs, params, report = thop.profile(layer, (image,), verbose=False, ret_layer_info=True)
    operators: Counter[str] = Counter()
    _add_leaves(operators, layer, report)
    return Count(int(macs), int(params), operators)


COUNTERS: dict[str, Callable[[Block, Shape], Count]] = {
    OURS: count_analytic,
    "fvcore": count_fvcore,
    "thop": count_thop,
}
"""By name: (block, input shape) -> Count."""

TRACED = {
    "fvcore": "multiply-accumulates as fvcore counts them, batch 1: convolution and linear layers, batch norm "
    "(2 per element), adaptive average pooling (1 per element read)",
    "thop": "multiply-accumulates as thop counts them, batch 1: convolution and linear layers, batch norm "
    "(4 per element), average pooling (1 per element written; adaptive also 1 per element read)",
}
"""The multiply-accumulates of a tracing counter, in words."""


def build_table(
    space: SearchSpace,
    metric: str = "flops",
    resolution: int | None = None,
    counter: str = "analytic",
    progress: bool = False,
) -> CostTable:
    """Count what every distinct block of a space costs, each once.

    Args:
        metric: a name in `supernet.metrics.METRICS`.
        resolution: height and width of the image in pixels; default the space's own.
        counter: a name in COUNTERS; a metric that the tools do not know is counted by its own function.
        progress: show a bar.

    Raises:
        UserError: an unknown metric or counter, a metric that has to be measured, or a resolution below 1.
    """
    about = choose("metric", metric, METRICS)
    if about.count is None:
        raise UserError(
            f"{metric} has to be measured: give --lookup-table FILE.json, from python -m lookup_tables build --metric "
            "latency (this machine), kit (another device), import or fit"
        )
    choose("counter", counter, COUNTERS)
    if resolution is None:
        resolution = space.input_shape[1]
    if resolution < 1:
        raise UserError(f"resolution must be at least 1, not {resolution}")
    blocks = distinct_blocks(space, resolution)
    traced = counter if about.traced and counter != OURS else None
    entries = {}
    for block, shape in shown(blocks, f"counting {metric} of {space.name}", "block") if progress else blocks:
        value = getattr(count(traced, block, shape), about.key) if traced else about.of(block, shape)
        entries[block, shape] = Entry(value, value)
    words = TRACED[traced] if traced and about is FLOPS else about.counted
    version = metadata.version(traced) if traced else "1"  # ours is numbered by what it counts
    return CostTable(space, about, resolution, entries, words, traced or OURS, version)


def count(counter: str, block: Block, input_shape: Shape) -> Count:
    """Count a block. Nothing is run for an identity: networks leave it out."""
    if isinstance(block, Identity):
        return Count(0, 0, {})
    return COUNTERS[counter](block, input_shape)


def built(block: Block, input_shape: Shape) -> tuple[nn.Module, torch.Tensor]:
    """The block's layer in evaluation mode and an image (1, C, H, W) for it, on the CPU."""
    # thop does not count the parameters of a root that is no container.
    return nn.Sequential(block.build(input_shape[0])).eval(), torch.zeros((1, *input_shape))


def _add_leaves(operators: Counter[str], module: nn.Module, report: Mapping[str, Any]) -> None:
    for name, (macs, _, inside) in report.items():
        child = module.get_submodule(name)
        if inside:
            _add_leaves(operators, child, inside)
        elif macs:
            operators[KINDS.get(type(child), type(child).__name__)] += int(macs)


def _imported(module: str, package: str) -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both use what is deprecated while they are imported
            return import_module(module)
    except ImportError as error:
        raise UserError(f"--counter {package} needs the package {package}: {error}") from None
