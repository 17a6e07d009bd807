"""Operations of a traced network that become blocks: modules and functions of torch, with all their settings."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from supernet.blocks import Block
from supernet.torch_blocks import ACTIVATION_LAYERS, Activate, Drop, Flat, Linear, MeanTo, Norm, PlainConv, Window


class UnknownError(Exception):
    """An operation that no block stands for; the message says why."""


SUM = (operator.add, operator.iadd, torch.add, "add", "add_")
PRODUCT = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_")
CONCATENATION = (torch.cat, torch.concat, torch.concatenate)
RESHAPE = (torch.flatten, torch.reshape, torch.squeeze, "flatten", "view", "reshape", "squeeze")
UNCHANGED = ("contiguous", "clone", "float", torch.clone)
IN_PLACE = (operator.iadd, operator.imul, "add_", "mul_", "relu_", F.relu_, torch.relu_)
"""Functions that change what they read, besides activations with `inplace`."""

_STOCHASTIC = ("stochastic_depth", "drop_path")
"""Names of functions that leave a block out at random in training, and pass what they read otherwise."""


def block_of_module(module: nn.Module) -> Block | None:
    """The block of a module; None where it changes nothing. Raises UnknownError."""
    kind = type(module)
    for known, make in _MODULES.items():
        if kind is known:
            return make(module)
    raise UnknownError(f"{kind.__name__} is no layer that an elastic network knows")


def _conv(conv: Any) -> Block:
    padding = conv.padding
    if conv.padding_mode != "zeros":
        raise UnknownError(f"a convolution that pads with {conv.padding_mode}, not zeros")
    if isinstance(padding, str):
        reach = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        if padding == "same" and any(side % 2 for side in reach):
            raise UnknownError("a convolution with other padding left than right")
        padding = [side // 2 if padding == "same" else 0 for side in reach]
    window = {"kernel": conv.kernel_size, "stride": conv.stride, "padding": padding, "dilation": conv.dilation}
    window["bias"] = conv.bias is not None
    width = conv.in_channels // conv.groups
    if conv.groups > 1 and conv.in_channels == conv.out_channels:
        return PlainConv(None, group_width=width, **window)
    return PlainConv(conv.out_channels, groups=conv.groups, **window)


def _norm(norm: Any) -> Block:
    if norm.momentum is None or not norm.track_running_stats:
        raise UnknownError("a batch norm without running statistics")
    return Norm(norm.eps, norm.momentum, norm.affine)


def _pair(value: Any) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    return int(height), int(width)


def _window(kind: str, pool: Any) -> Block:
    if kind == "max" and (_pair(pool.dilation) != (1, 1) or pool.return_indices):
        raise UnknownError("a pooling with dilation, or that returns indices")
    if kind == "mean" and pool.divisor_override is not None:
        raise UnknownError("a pooling with a divisor of its own")
    padded = kind == "max" or _pair(pool.padding) == (0, 0) or pool.count_include_pad
    kernel = _pair(pool.kernel_size)
    stride = kernel if pool.stride is None else _pair(pool.stride)
    return Window(kind, kernel, stride, _pair(pool.padding), bool(pool.ceil_mode), bool(padded))


def _mean_to(pool: Any) -> Block:
    side = pool.output_size
    if side is None or (not isinstance(side, int) and None in tuple(side)):
        raise UnknownError("a pooling to a size that it does not name")
    return MeanTo(_pair(side))


def _activation(name: str) -> Callable[[Any], Block]:
    def make(module: Any) -> Block:
        settings = {key: value for key, value in module.__dict__.items() if not key.startswith("_")}
        default = {key: value for key, value in ACTIVATION_LAYERS[name]().__dict__.items() if not key.startswith("_")}
        for key in ("training", "inplace", *(["negative_slope"] if name == "leaky_relu" else [])):
            settings.pop(key, None), default.pop(key, None)
        if settings != default:
            raise UnknownError(f"{type(module).__name__} with other settings than torch's own")
        return Activate(name, module.negative_slope) if name == "leaky_relu" else Activate(name)

    return make


_MODULES: Mapping[type[nn.Module], Callable[[Any], Block | None]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda linear: Linear(linear.out_features, linear.bias is not None),
    nn.BatchNorm2d: _norm,
    nn.MaxPool2d: lambda pool: _window("max", pool),
    nn.AvgPool2d: lambda pool: _window("mean", pool),
    nn.AdaptiveAvgPool2d: _mean_to,
    nn.Dropout: lambda drop: Drop(drop.p) if drop.p else None,
    nn.Identity: lambda _: None,
    **{kind: _activation(name) for name, kind in ACTIVATION_LAYERS.items()},
}


def block_of_function(function: Any, arguments: Sequence[Any], settings: Mapping[str, Any]) -> Block | None:
    """The block of a function, or of a method by its name, called with what follows the tensor; None: it passes.

    Raises UnknownError.
    """
    if function in UNCHANGED or getattr(function, "__name__", "") in _STOCHASTIC:
        return None
    for functions, names, make in _FUNCTIONS:
        if any(function is other or (isinstance(other, str) and function == other) for other in functions):
            given = dict(zip(names, arguments, strict=False)) | dict(settings)
            given.pop("training", None)
            given.pop("inplace", None)
            return block_of_module(make(**given))
    raise UnknownError("an operation that an elastic network does not know")


def is_mean(function: Any, arguments: Sequence[Any], settings: Mapping[str, Any]) -> bool:
    """True for the mean over height and width."""
    if function not in (torch.mean, "mean"):
        return False
    over = settings.get("dim", arguments[0] if arguments else None)
    return isinstance(over, (tuple, list)) and sorted(d % 4 for d in over) == [2, 3]


def _max_pool(
    kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> nn.Module:  # fmt: skip
    return nn.MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode)


_POOL = ("kernel_size", "stride", "padding")
_FUNCTIONS: list[tuple[tuple[Any, ...], tuple[str, ...], Callable[..., nn.Module]]] = [
    ((F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"), ("inplace",), nn.ReLU),
    ((F.relu6,), ("inplace",), nn.ReLU6),
    ((F.leaky_relu,), ("negative_slope", "inplace"), nn.LeakyReLU),
    ((F.hardswish,), ("inplace",), nn.Hardswish),
    ((F.hardsigmoid,), ("inplace",), nn.Hardsigmoid),
    ((F.silu,), ("inplace",), nn.SiLU),
    ((F.mish,), ("inplace",), nn.Mish),
    ((F.gelu,), (), nn.GELU),
    ((F.elu,), ("alpha", "inplace"), nn.ELU),
    ((F.sigmoid, torch.sigmoid, "sigmoid"), (), nn.Sigmoid),
    ((F.tanh, torch.tanh, "tanh"), (), nn.Tanh),
    ((F.dropout,), ("p", "training", "inplace"), nn.Dropout),
    ((F.max_pool2d, torch.max_pool2d), (*_POOL, "dilation", "ceil_mode", "return_indices"), _max_pool),
    ((F.avg_pool2d,), (*_POOL, "ceil_mode", "count_include_pad", "divisor_override"), nn.AvgPool2d),
    ((F.adaptive_avg_pool2d,), ("output_size",), nn.AdaptiveAvgPool2d),
]
"""Functions, the names of their arguments after the tensor, and the module that does the same."""


def flattened(shape: Sequence[int]) -> Block:
    """The block that makes features of a map (B, C, H, W)."""
    return Flat((shape[2], shape[3]))
