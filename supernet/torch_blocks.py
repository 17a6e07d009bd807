"""Blocks for the layers that torch has ready made, in all their settings: what networks of the user's own consist of.

`Conv` and its like (`supernet.blocks`) are what papers tabulate; these say what a layer of `torch.nn` says: any kernel,
any padding. `Layers` puts several in a row into one block, such as a convolution with its batch norm and activation,
which engines run as one. A vector of features (B, F) counts as a map of one pixel, (F, 1, 1).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.blocks import Block, Shape

Pair = tuple[int, int]
"""Of height and width."""

ACTIVATION_LAYERS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "softplus": nn.Softplus,
}


def _pairs(block: Block, least: int, *names: str) -> None:
    """Keep the named fields, which JSON gives as lists, as pairs. Raises ValueError for what is none."""
    for name in names:
        value = getattr(block, name)
        pair = tuple(value) if isinstance(value, (list, tuple)) else ()
        if len(pair) != 2 or not all(type(number) is int and least <= number for number in pair):
            raise ValueError(f"{type(block).__name__}: {name} must be two whole numbers of at least {least}")
        object.__setattr__(block, name, pair)


def _windows(side: int, window: Sequence[int], ceil: bool = False) -> int:
    """Places of a window (kernel, stride, padding, dilation) along one side, as torch counts them."""
    kernel, stride, padding, dilation = window
    free = side + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil:
        return max(1, free // stride + 1)
    count = -(-free // stride) + 1
    return max(1, count - ((count - 1) * stride >= side + padding))  # a window that would begin in the padding


@dataclass(frozen=True)
class PlainConv(Block):
    """A convolution alone.

    Args:
        out_channels: None: as many as enter, in groups of `group_width` channels; depthwise with a width of 1.
        group_width: counts where `out_channels` is None; `groups` where it is a number.
    """

    out_channels: int | None = None
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    group_width: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _pairs(self, 1, "kernel", "stride", "dilation")
        _pairs(self, 0, "padding")

    @property
    def label(self) -> str:
        kind = "conv" if self.out_channels is not None else "dwconv" if self.group_width == 1 else "gconv"
        stride = f"/{max(self.stride)}" if max(self.stride) > 1 else ""
        return f"{kind}{self.kernel[0]}x{self.kernel[1]}{stride}"

    def channels_and_groups(self, in_channels: int) -> tuple[int, int]:
        """Output channels and groups for inputs of so many channels. Raises ValueError where groups do not come out."""
        channels, groups = self.out_channels, self.groups
        if channels is None:
            channels, groups = in_channels, in_channels // self.group_width
        width = in_channels // groups if self.out_channels is not None else self.group_width
        if width * groups != in_channels or channels % max(1, groups):
            raise ValueError(f"{in_channels} to {channels} channels do not fall into {groups} groups")
        return channels, groups

    def output_shape(self, shape: Shape) -> Shape:
        height, width = (
            _windows(side, window)
            for side, *window in zip(shape[1:], self.kernel, self.stride, self.padding, self.dilation, strict=True)
        )
        return self.channels_and_groups(shape[0])[0], height, width

    def _weights(self, in_channels: int) -> int:
        channels, groups = self.channels_and_groups(in_channels)
        return self.kernel[0] * self.kernel[1] * (in_channels // groups) * channels

    def macs(self, shape: Shape) -> int:
        _, height, width = self.output_shape(shape)
        return self._weights(shape[0]) * height * width

    def params(self, shape: Shape) -> int:
        return self._weights(shape[0]) + self.bias * self.channels_and_groups(shape[0])[0]

    def build(self, in_channels: int) -> nn.Module:
        channels, groups = self.channels_and_groups(in_channels)
        return nn.Conv2d(
            in_channels, channels, self.kernel, self.stride, self.padding, self.dilation, groups, self.bias
        )


@dataclass(frozen=True)
class Linear(Block):
    """A linear layer on features, (B, F) or (B, F, 1, 1)."""

    out_features: int
    bias: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        return self.out_features, 1, 1

    def macs(self, shape: Shape) -> int:
        return shape[0] * self.out_features

    def params(self, shape: Shape) -> int:
        return (shape[0] + self.bias) * self.out_features

    def build(self, in_channels: int) -> nn.Module:
        linear = nn.Linear(in_channels, self.out_features, self.bias)
        return nn.Sequential(OrderedDict(flatten=nn.Flatten(), linear=linear))


@dataclass(frozen=True)
class Norm(Block):
    """A batch norm alone."""

    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def macs(self, shape: Shape) -> int:
        return 0

    def params(self, shape: Shape) -> int:
        return 2 * shape[0] * self.affine

    def build(self, in_channels: int) -> nn.Module:
        return nn.BatchNorm2d(in_channels, self.eps, self.momentum, self.affine)


@dataclass(frozen=True)
class Activate(Block):
    """An activation alone, with torch's default parameters but for the slope of a leaky ReLU."""

    kind: str = "relu"
    slope: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ACTIVATION_LAYERS:
            raise ValueError(f"unknown activation {self.kind!r}; known: {', '.join(ACTIVATION_LAYERS)}")

    @property
    def label(self) -> str:
        return self.kind

    def build(self, in_channels: int) -> nn.Module:
        return nn.LeakyReLU(self.slope) if self.kind == "leaky_relu" else ACTIVATION_LAYERS[self.kind]()


@dataclass(frozen=True)
class Window(Block):
    """The maximum or the mean of every window; `padded`: a mean counts the padding's zeros."""

    kind: str = "max"
    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Pair = (0, 0)
    ceil: bool = False
    padded: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _pairs(self, 1, "kernel", "stride")
        _pairs(self, 0, "padding")
        if self.kind not in ("max", "mean"):
            raise ValueError(f"unknown pooling {self.kind!r}; known: max, mean")

    @property
    def label(self) -> str:
        return f"{self.kind}{self.kernel[0]}x{self.kernel[1]}"

    def output_shape(self, shape: Shape) -> Shape:
        height, width = (
            _windows(side, (*window, 1), self.ceil)
            for side, *window in zip(shape[1:], self.kernel, self.stride, self.padding, strict=True)
        )
        return shape[0], height, width

    def build(self, in_channels: int) -> nn.Module:
        if self.kind == "max":
            return nn.MaxPool2d(self.kernel, self.stride, self.padding, ceil_mode=self.ceil)
        return nn.AvgPool2d(self.kernel, self.stride, self.padding, self.ceil, self.padded)


@dataclass(frozen=True)
class MeanTo(Block):
    """A map averaged to a size of `side[0]` x `side[1]`; a map of one pixel is repeated."""

    side: Pair = (1, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        _pairs(self, 1, "side")

    @property
    def label(self) -> str:
        return f"mean to {self.side[0]}x{self.side[1]}"

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0], *self.side

    def build(self, in_channels: int) -> nn.Module:
        return nn.AdaptiveAvgPool2d(1) if self.side == (1, 1) else _Fitted(self.side)


@dataclass(frozen=True)
class Flat(MeanTo):
    """All values of a map of `side[0]` x `side[1]` as features; a map of another size is averaged to that one first."""

    @property
    def label(self) -> str:
        return "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0] * self.side[0] * self.side[1], 1, 1

    def build(self, in_channels: int) -> nn.Module:
        return nn.Sequential(OrderedDict(fit=_Fitted(self.side), flatten=nn.Flatten()))


@dataclass(frozen=True)
class Drop(Block):
    """Dropout in training."""

    share: float = 0.5

    def build(self, in_channels: int) -> nn.Module:
        return nn.Dropout(self.share)


@dataclass(frozen=True)
class Layers(Block):
    """Several of these blocks in a row; `parts` names them by what they are: conv, linear, norm, act."""

    layers: tuple[Block, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        layers: Any = self.layers if isinstance(self.layers, (list, tuple)) else ()
        layers = tuple(Block.from_dict(layer) if isinstance(layer, dict) else layer for layer in layers)
        names = [PART_NAMES.get(type(layer)) for layer in layers]
        if not layers or None in names or len(set(names)) < len(names):
            raise ValueError(f"Layers: one each of {', '.join(kind.__name__ for kind in PART_NAMES)}")
        object.__setattr__(self, "layers", layers)

    @property
    def label(self) -> str:
        return self.layers[0].label

    def parts(self, in_channels: int) -> dict[str, Block]:
        return {PART_NAMES[type(layer)]: layer for layer in self.layers}

    def output_shape(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def build(self, in_channels: int) -> nn.Module:
        built = super().build(in_channels)
        for before, act in pairwise(built.children()):
            if hasattr(act, "inplace") and isinstance(before, nn.Conv2d | nn.BatchNorm2d):
                act.inplace = True  # type: ignore[assignment]  # nobody else reads what it changes
        return built

    def to_dict(self) -> dict[str, Any]:
        return {"block": "Layers", "layers": [layer.to_dict() for layer in self.layers]}


PART_NAMES: dict[type[Block], str] = {PlainConv: "conv", Linear: "linear", Norm: "norm", Activate: "act"}


class _Fitted(nn.Module):
    """A map of a given size: as it is, one pixel repeated, or an average."""

    def __init__(self, side: Pair) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, *side)
        if tuple(x.shape[2:]) == self.side:
            return x
        if tuple(x.shape[2:]) == (1, 1):  # engines concatenate, and do not average to a larger map
            row = torch.cat([x] * self.side[1], 3)
            return torch.cat([row] * self.side[0], 2)
        return F.adaptive_avg_pool2d(x, self.side)
