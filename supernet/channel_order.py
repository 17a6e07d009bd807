"""Channel sorting (once-for-all, Cai et al. 2020): the channels that matter most come first, where slices keep them.

The importance of a hidden channel is the L1 norm of the weights that read it in the convolution behind. Permuting
hidden channels changes no output of the widest layer; what changes is which of them a narrower layer keeps.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from supernet.blocks import Block
from supernet.composites import Bottleneck, InvertedResidual
from supernet.layers import BottleneckUnit, SqueezeExcitation
from supernet.sharing.sliced import Sliced
from supernet.supernet import Supernet


@torch.no_grad()
def sort_channels(supernet: Supernet, settled: int = 0) -> int:
    """Sort the hidden channels of all sliced inverted residuals and bottlenecks, in place.

    Args:
        settled: how many of the narrower widths have been trained already, from the widest down: channels beyond them
            stay beyond them (the later expansion phases of progressive shrinking).

    Returns:
        The number of layers that were sorted.
    """
    count = 0
    for weights in supernet.bank.values():
        if not isinstance(weights, Sliced):
            continue
        for layer in weights.layers:
            widths = _hidden_widths(weights.options, layer)
            if len(widths) > 1:
                _sort(layer, sorted(widths)[-1 - settled : -1] if settled else [])
                count += 1
    return count


def _hidden_widths(options: Iterable[Block], layer: Any) -> set[int]:
    """The hidden widths that options have as slices of a layer; none of another kind of layer."""
    if isinstance(layer, BottleneckUnit):
        hidden = [block.main()["reduce"] for block in options if isinstance(block, Bottleneck)]
    elif hasattr(layer, "expand") and hasattr(layer, "depthwise"):
        entering = layer.expand.conv.in_channels
        hidden = [b.parts(entering)["expand"] for b in options if isinstance(b, InvertedResidual) and b.expand != 1]
    else:
        hidden = []
    return {part.output_shape((1, 1, 1))[0] for part in hidden}


def _sort(layer: Any, cuts: Sequence[int]) -> None:
    if isinstance(layer, BottleneckUnit):
        main: Any = layer.main
        for before, after in ((main.conv, main.widen), (main.reduce, main.conv)):
            order = _order(after.conv.weight, cuts)
            _permute(after.conv, 1, order)
            _permute_outputs(before, order)
        return
    order = _order(layer.project.conv.weight, cuts)
    _permute(layer.project.conv, 1, order)
    for part in (layer.depthwise, layer.expand):
        _permute_outputs(part, order)
    if isinstance(se := getattr(layer, "se", None), SqueezeExcitation):
        _permute(se.expand, 0, order)
        _permute(se.reduce, 1, order)
        inside = _order(se.expand.weight, [])  # a narrower layer has a narrower squeeze as well
        _permute(se.expand, 1, inside)
        _permute(se.reduce, 0, inside)


def _order(reading: Tensor, cuts: Sequence[int]) -> Tensor:
    """Input channels of a convolution's weights (out, in, k, k) by importance, between the cuts each."""
    importance = reading.abs().sum((0, 2, 3))
    edges = [0, *cuts, len(importance)]
    parts = [importance[a:b].argsort(descending=True, stable=True) + a for a, b in pairwise(edges)]
    return torch.cat(parts)


def _permute_outputs(part: Any, order: Tensor) -> None:
    _permute(part.conv, 0, order)
    norm = part.norm
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        if tensor is not None:
            tensor.copy_(tensor[order])


def _permute(conv: nn.Conv2d, dimension: int, order: Tensor) -> None:
    conv.weight.copy_(conv.weight.index_select(dimension, order))
    if dimension == 0 and conv.bias is not None:
        conv.bias.copy_(conv.bias[order])
