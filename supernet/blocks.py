"""Blocks: the operations that can stand at one place of a network, one small frozen dataclass per kind.

A block knows neither its input channels nor a resolution: both come with the input shape (C, H, W), so one block (and
one set of weights) serves every resolution, and (block, input shape) is the key of a lookup table. From that pair a
block gives its output shape, its multiply-accumulates (MACs, "FLOPs" in the papers), its learnable parameters and, from
the channels alone, its layer. MACs count convolution and linear layers, batch 1, as the papers do.

Primitives (this file) count by themselves; composites (`composites.py`) only name the parts they are made of.
Parts of a layer have names (`conv`, `norm`, `act`; `expand`, `depthwise`, `project`): weights are addressed by them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar

from torch import nn

from supernet.layers import Residual, SqueezeExcitation, ZeroLayer

Shape = tuple[int, int, int]
"""(channels, height, width) of a feature map, without the batch."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    name: partial(kind, inplace=True)
    for name, kind in {"relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish, "silu": nn.SiLU}.items()
}


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of `divisor`, never below 90 % of `value` (MobileNet's channel rounding)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


VALID: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number of at least 1", lambda value: type(value) is int and value >= 1),
    "int | None": ("a whole number of at least 1", lambda value: value is None or (type(value) is int and value >= 1)),
    "int | float": ("a number of at least 1", lambda value: type(value) in (int, float) and value >= 1),
    "float": ("a number of at least 0, below 1", lambda value: type(value) in (int, float) and 0 <= value < 1),
    "bool": ("true or false", lambda value: type(value) is bool),
    "str": ("text", lambda value: type(value) is str),
}
"""Values that a field of a block may have, by its annotation. Blocks are read from files, so it is checked."""


@dataclass(frozen=True)
class Block:
    """One candidate operation as data: hashable, comparable, and JSON both ways. Raises ValueError for bad fields."""

    kinds: ClassVar[dict[str, type[Block]]] = {}

    def __init_subclass__(cls) -> None:
        kind = Block.kinds.get(cls.__name__, cls)  # by which networks as data name it
        if (kind.__module__, kind.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{kind.__module__} has a block called {cls.__name__} already: take another name")
        Block.kinds[cls.__name__] = cls

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            annotation = field.type.__name__ if isinstance(field.type, type) else str(field.type)
            meaning, is_valid = VALID.get(annotation, ("", lambda _: True))
            if not is_valid(value):
                raise ValueError(f"{type(self).__name__}: {field.name} must be {meaning}, not {value!r}")

    @property
    def label(self) -> str:
        """A short name for tables and pictures."""
        return type(self).__name__.lower()

    def parts(self, in_channels: int) -> dict[str, Block]:
        """The named blocks that a composite is made of, in the order they run; none of a primitive."""
        return {}

    def primitives(self, shape: Shape) -> Iterator[tuple[Block, Shape]]:
        """Every counted part with the shape that enters it."""
        return primitives_of(parts.values(), shape) if (parts := self.parts(shape[0])) else iter([(self, shape)])

    def has_shortcut(self, in_channels: int) -> bool:
        """True where a composite adds its input to its output."""
        return False

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output for an input of `shape`, by the fields `out_channels` and `stride` if there are such."""
        stride: int = getattr(self, "stride", 1)
        return getattr(self, "out_channels", shape[0]), -(-shape[1] // stride), -(-shape[2] // stride)

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates of convolution and linear layers for one image of `shape`."""
        return sum(part.macs(at) for part, at in self.primitives(shape) if part is not self)

    def params(self, shape: Shape) -> int:
        """Learnable parameters: weights, biases and affine batch-norm parameters."""
        return sum(part.params(at) for part, at in self.primitives(shape) if part is not self)

    def build(self, in_channels: int) -> nn.Module:
        """The layer, with fresh weights, for inputs (B, in_channels, H, W)."""
        layers = layers_of(self.parts(in_channels), in_channels)
        if not layers:
            raise TypeError(f"{type(self).__name__} does not say how it is built")
        return Residual(layers) if self.has_shortcut(in_channels) else nn.Sequential(layers)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the kind, and the fields that are not at their default.

        A field that is added later, with a default, therefore changes no fingerprint and no key of a lookup table.
        """
        values = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}
        return {"block": type(self).__name__, **values}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Block:
        """The block `to_dict` described; fields it leaves out are at their default.

        Raises ValueError for an unknown kind or unknown fields.
        """
        if not isinstance(data, dict):
            raise ValueError(f"a block is a table of its kind and its fields, not {data!r}")
        settings = dict(data)
        kind = settings.pop("block", None)
        if not isinstance(kind, str) or kind not in Block.kinds:
            raise ValueError(f"unknown block {kind!r}; known: {', '.join(sorted(Block.kinds))}")
        try:
            return Block.kinds[kind](**settings)
        except TypeError as error:
            raise ValueError(f"block {kind}: {error}") from None


def primitives_of(parts: Iterable[Block], shape: Shape) -> Iterator[tuple[Block, Shape]]:
    """The primitives of blocks that run one after another."""
    for part in parts:
        yield from part.primitives(shape)
        shape = part.output_shape(shape)


def layers_of(parts: Mapping[str, Block], in_channels: int) -> OrderedDict[str, nn.Module]:
    """The layers of blocks that run one after another, by the blocks' names."""
    layers, shape = OrderedDict[str, nn.Module](), (in_channels, 1, 1)
    for name, part in parts.items():
        layers[name] = part.build(shape[0])
        shape = part.output_shape(shape)
    return layers


@dataclass(frozen=True)
class Identity(Block):
    """Nothing: the input passes. Networks leave it out, so a skipped layer costs nothing."""

    @property
    def label(self) -> str:
        return "skip"

    def build(self, in_channels: int) -> nn.Module:
        return nn.Identity()


@dataclass(frozen=True)
class Conv(Block):
    """Convolution, optionally batch normalisation and an activation; "same" padding.

    `out_channels=None` is a depthwise convolution. `pre_activation` puts the activation first (ReLU-Conv-BN, as in
    cell spaces). `bias` is for the layers behind a global pooling; a convolution before a batch norm needs none.
    `eps` is the batch norm's.
    """

    out_channels: int | None = None
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    dilation: int = 1
    act: str = "relu6"
    bn: bool = True
    affine: bool = True
    pre_activation: bool = False
    bias: bool = False
    eps: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.act and self.act not in ACTIVATIONS:
            raise ValueError(f"unknown activation {self.act!r}; known: {', '.join(ACTIVATIONS)} or '' for none")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel}: only odd kernels keep the resolution with same padding")

    @property
    def label(self) -> str:
        kind = "dwconv" if self.out_channels is None else "conv"
        return f"{kind}{self.kernel}x{self.kernel}" + (f"/{self.stride}" if self.stride > 1 else "")

    def _channels_and_groups(self, in_channels: int) -> tuple[int, int]:
        if self.out_channels is None:
            return in_channels, in_channels
        if in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"{in_channels} to {self.out_channels} channels do not fall into {self.groups} groups")
        return self.out_channels, self.groups

    def output_shape(self, shape: Shape) -> Shape:
        channels, _ = self._channels_and_groups(shape[0])
        return channels, -(-shape[1] // self.stride), -(-shape[2] // self.stride)

    def _weights(self, in_channels: int) -> int:
        channels, groups = self._channels_and_groups(in_channels)
        return self.kernel**2 * (in_channels // groups) * channels

    def macs(self, shape: Shape) -> int:
        _, height, width = self.output_shape(shape)
        return self._weights(shape[0]) * height * width

    def params(self, shape: Shape) -> int:
        channels, _ = self._channels_and_groups(shape[0])
        return self._weights(shape[0]) + self.bias * channels + (2 * channels if self.bn and self.affine else 0)

    def build(self, in_channels: int) -> nn.Module:
        channels, groups = self._channels_and_groups(in_channels)
        padding = (self.kernel - 1) * self.dilation // 2
        layers = OrderedDict[str, nn.Module]()
        if self.act and self.pre_activation:
            # It reads a tensor that other edges of a cell read too: it must not work in place.
            layers["act"] = ACTIVATIONS[self.act]()
            layers["act"].inplace = False  # type: ignore[assignment]
        layers["conv"] = nn.Conv2d(
            in_channels, channels, self.kernel, self.stride, padding, self.dilation, groups, self.bias
        )
        if self.bn:
            layers["norm"] = nn.BatchNorm2d(channels, self.eps, affine=self.affine)
        if self.act and not self.pre_activation:
            layers["act"] = ACTIVATIONS[self.act]()
        return nn.Sequential(layers)


@dataclass(frozen=True)
class SqueezeExcite(Block):
    """Squeeze-and-excitation (Hu et al. 2018): global mean, two 1x1 convolutions with bias, hard sigmoid."""

    reduction: int = 4

    def _mid(self, in_channels: int) -> int:
        return make_divisible(in_channels // self.reduction)

    def macs(self, shape: Shape) -> int:
        return 2 * shape[0] * self._mid(shape[0])

    def params(self, shape: Shape) -> int:
        mid = self._mid(shape[0])
        return 2 * shape[0] * mid + mid + shape[0]

    def build(self, in_channels: int) -> nn.Module:
        return SqueezeExcitation(in_channels, self._mid(in_channels))


@dataclass(frozen=True)
class BatchNormAct(Block):
    """Batch normalisation and an activation, as before the classifier of a cell space."""

    act: str = "relu"

    def macs(self, shape: Shape) -> int:
        return 0

    def params(self, shape: Shape) -> int:
        return 2 * shape[0]

    def build(self, in_channels: int) -> nn.Module:
        return nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(in_channels), act=ACTIVATIONS[self.act]()))


@dataclass(frozen=True)
class Pool(Block):
    """Average or maximum pooling: 3x3 with same padding (padding is not averaged), or the mean or maximum of 2x2."""

    kind: str = "avg"
    stride: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ("avg", "max", "mean2x2", "max2x2"):
            raise ValueError(f"unknown pooling {self.kind!r}; known: avg, max, mean2x2, max2x2")

    @property
    def label(self) -> str:
        return f"{self.kind}pool"

    def output_shape(self, shape: Shape) -> Shape:
        stride = 2 if self.kind.endswith("2x2") else self.stride
        return shape[0], -(-shape[1] // stride), -(-shape[2] // stride)

    def build(self, in_channels: int) -> nn.Module:
        if self.kind.endswith("2x2"):
            return (nn.AvgPool2d if self.kind == "mean2x2" else nn.MaxPool2d)(2, 2, ceil_mode=True)
        if self.kind == "max":
            return nn.MaxPool2d(3, self.stride, 1)
        return nn.AvgPool2d(3, self.stride, 1, count_include_pad=False)


@dataclass(frozen=True)
class GlobalPool(Block):
    """The mean over all places, as a map of one pixel: what follows is convolutions on it, and then the head."""

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0], 1, 1

    def build(self, in_channels: int) -> nn.Module:
        return nn.AdaptiveAvgPool2d(1)


@dataclass(frozen=True)
class Zero(Block):
    """NAS-Bench's `none`: a feature map of zeros."""

    stride: int = 1

    @property
    def label(self) -> str:
        return "none"

    def build(self, in_channels: int) -> nn.Module:
        return ZeroLayer(self.stride)


@dataclass(frozen=True)
class Head(Block):
    """Global average pooling, optional dropout and the linear classifier."""

    classes: int = 1000
    bias: bool = True
    dropout: float = 0.0

    @property
    def label(self) -> str:
        return "pool+linear"

    def output_shape(self, shape: Shape) -> Shape:
        return self.classes, 1, 1

    def macs(self, shape: Shape) -> int:
        return shape[0] * self.classes

    def params(self, shape: Shape) -> int:
        return (shape[0] + self.bias) * self.classes

    def build(self, in_channels: int) -> nn.Module:
        layers = OrderedDict[str, nn.Module](pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
        if self.dropout:
            layers["dropout"] = nn.Dropout(self.dropout)
        layers["linear"] = nn.Linear(in_channels, self.classes, bias=self.bias)
        return nn.Sequential(layers)
