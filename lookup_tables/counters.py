"""Who counts a block: our own arithmetic, and two tools that trace the built layer and know nothing of it.

All three count multiply-accumulates for one image and agree to the unit on convolution and linear layers and on
parameters. They differ in what they add:

- fvcore: 2 per element that a batch norm writes (1 without affine parameters), and 1 per element that an adaptive
  average pooling reads.
- thop: 4 per element that a batch norm writes (2 without affine parameters), and for an average pooling 1 per element
  that it writes; an adaptive one also 1 per element that it reads.

Nobody counts activations, residual additions, channel shuffles, or the mean and the scaling of a squeeze-excite.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from config_file.errors import UserError
from supernet import Block, Shape
from supernet.blocks import Head, Identity

CONVOLUTION, LINEAR, BATCH_NORM, POOLING = "convolution", "linear", "batch norm", "pooling"

KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: CONVOLUTION,
    nn.Linear: LINEAR,
    nn.BatchNorm2d: BATCH_NORM,
    nn.AdaptiveAvgPool2d: POOLING,
    nn.AvgPool2d: POOLING,
    nn.MaxPool2d: POOLING,
}
"""What a module is counted as."""

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
    """What the block says of itself: convolution and linear layers."""
    operators: Counter[str] = Counter()
    for part, shape in block.primitives(input_shape):
        operators[LINEAR if isinstance(part, Head) else CONVOLUTION] += part.macs(shape)
    return Count(block.macs(input_shape), block.params(input_shape), operators)


def count_fvcore(block: Block, input_shape: Shape) -> Count:
    """What FlopCountAnalysis of fvcore says of the built layer (a trace of its operators)."""
    fvcore = _imported("fvcore.nn", "fvcore")
    layer, image = built(block, input_shape)
    analysis = fvcore.FlopCountAnalysis(layer, image)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    operators: Counter[str] = Counter()
    for name, macs in analysis.by_operator().items():
        operators[FVCORE_OPERATORS.get(name, name)] += int(macs)
    return Count(sum(operators.values()), fvcore.parameter_count(layer)[""], operators)


def count_thop(block: Block, input_shape: Shape) -> Count:
    """What thop's `profile` says of the built layer (hooks on its modules)."""
    thop = _imported("thop", "thop")
    layer, image = built(block, input_shape)  # a fresh one: thop leaves buffers behind in layers it has no rule for
    macs, params, report = thop.profile(layer, (image,), verbose=False, ret_layer_info=True)
    operators: Counter[str] = Counter()
    _add_leaves(operators, layer, report)
    return Count(int(macs), int(params), operators)


COUNTERS: dict[str, Callable[[Block, Shape], Count]] = {
    "analytic": count_analytic,
    "fvcore": count_fvcore,
    "thop": count_thop,
}
"""By name: (block, input shape) -> Count."""

COUNTED = {
    "analytic": "multiply-accumulates of convolution and linear layers, batch 1",
    "fvcore": "multiply-accumulates as fvcore counts them, batch 1: convolution and linear layers, batch norm "
    "(2 per element), adaptive average pooling (1 per element read)",
    "thop": "multiply-accumulates as thop counts them, batch 1: convolution and linear layers, batch norm "
    "(4 per element), average pooling (1 per element written; adaptive also 1 per element read)",
}
"""What a table of MACs by this counter counts."""

COUNTED_PARAMS = "learnable parameters: weights, biases and affine batch-norm parameters"


def version(counter: str) -> str:
    """The version of a counter; ours is numbered by what it counts."""
    return "1" if counter == "analytic" else metadata.version(counter)


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
