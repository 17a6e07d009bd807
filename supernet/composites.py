"""Composite blocks: the blocks that papers tabulate, made of primitives that have names.

Hidden width and shortcut follow from the input channels at build time, because in some spaces the input width of a
layer is itself a choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from supernet.blocks import Block, Conv, Pool, Shape, SqueezeExcite, layers_of, make_divisible, primitives_of
from supernet.layers import BottleneckUnit, ChannelShuffle, GhostUnit, Leading, ShuffleUnit


@dataclass(frozen=True)
class Shuffle(Block):
    """Channel shuffle between grouped convolutions: no weights, no MACs."""

    groups: int = 2

    def build(self, in_channels: int) -> nn.Module:
        return ChannelShuffle(self.groups)


@dataclass(frozen=True)
class FirstChannels(Block):
    """The first channels of a feature map: no weights, no MACs."""

    channels: int = 1

    def output_shape(self, shape: Shape) -> Shape:
        if self.channels > shape[0]:
            raise ValueError(f"{shape[0]} channels have no first {self.channels}")
        return self.channels, *shape[1:]

    def build(self, in_channels: int) -> nn.Module:
        return Leading(self.channels)


@dataclass(frozen=True)
class InvertedResidual(Block):
    """MobileNetV2's block: 1x1 expansion, depthwise convolution, optional squeeze-excite, linear 1x1 projection.

    An expansion of 1 drops the 1x1 expansion, as MobileNetV2 does, unless `always_expand` (FBNet keeps it). With
    `groups` both pointwise convolutions are grouped and a channel shuffle follows the first, as in FBNet. The shortcut
    is there where stride is 1 and the width is unchanged, unless `residual` is False.
    """

    out_channels: int
    kernel: int = 3
    expand: int | float = 6
    stride: int = 1
    act: str = "relu6"
    se: bool = False
    groups: int = 1
    always_expand: bool = False
    residual: bool = True
    eps: float = 1e-5

    @property
    def label(self) -> str:
        groups = f"g{self.groups}" if self.groups > 1 else ""
        return f"k{self.kernel}e{self.expand:g}{groups}" + ("se" if self.se else "")

    def parts(self, in_channels: int) -> dict[str, Block]:
        """[expand, [shuffle,]] depthwise, [se,] project."""
        parts: dict[str, Block] = {}
        if self.expand != 1 or self.always_expand:
            hidden = in_channels if self.expand == 1 else make_divisible(in_channels * self.expand)
            parts["expand"] = Conv(hidden, act=self.act, groups=self.groups, eps=self.eps)
            if self.groups > 1:
                parts["shuffle"] = Shuffle(self.groups)
        parts["depthwise"] = Conv(None, self.kernel, self.stride, act=self.act, eps=self.eps)
        if self.se:
            parts["se"] = SqueezeExcite()
        parts["project"] = Conv(self.out_channels, act="", groups=self.groups, eps=self.eps)
        return parts

    def has_shortcut(self, in_channels: int) -> bool:
        return self.residual and self.stride == 1 and in_channels == self.out_channels


@dataclass(frozen=True)
class ShuffleBlock(Block):
    """The official SPOS blocks (Guo et al. 2020): ShuffleNetV2 with kernel 3, 5 or 7, and `xception`.

    `mid` are the channels inside the main branch, where they are not half of the output's. At stride 1 the channels are
    split first, half pass and the other half run through the main branch to out - in/2 channels. With stride 2, or
    where the width changes at stride 1 (which the official space never does, but small images need), a projection
    branch keeps `in` channels and the main branch gives out - in.
    """

    out_channels: int
    kernel: int = 3
    stride: int = 1
    xception: bool = False
    mid: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.xception and self.kernel != 3:
            raise ValueError("the xception block has 3x3 kernels")

    @property
    def label(self) -> str:
        inner = "" if self.mid is None else f"m{self.mid}"
        return ("xception" if self.xception else f"shuffle_k{self.kernel}") + inner

    def projects(self, in_channels: int) -> bool:
        """True where there is a projection branch instead of a channel split."""
        return self.stride == 2 or in_channels != self.out_channels

    def main(self, in_channels: int) -> dict[str, Block]:
        """The parts of the main branch."""
        rest = self.out_channels - self._main_input(in_channels)
        mid = self.out_channels // 2 if self.mid is None else self.mid
        if not self.projects(in_channels) and in_channels % 2:
            raise ValueError(f"{self.label} halves its channels, but {in_channels} is an odd number")
        if rest <= 0:
            raise ValueError(f"{self.label} to {self.out_channels} channels cannot follow {in_channels} channels")

        widen, leave = Conv(mid, act="relu"), Conv(rest, act="relu")
        strided, depthwise = (Conv(None, self.kernel, stride, act="") for stride in (self.stride, 1))
        if not self.xception:
            return {"enter": widen, "depthwise": strided, "leave": leave}
        return {
            "depthwise1": strided,
            "pointwise1": widen,
            "depthwise2": depthwise,
            "pointwise2": widen,
            "depthwise3": depthwise,
            "pointwise3": leave,
        }

    def projection(self, in_channels: int) -> dict[str, Block]:
        """The parts of the projection branch; none where half of the channels pass unchanged."""
        if not self.projects(in_channels):
            return {}
        depthwise = Conv(None, self.kernel, self.stride, act="")
        return {"depthwise": depthwise, "pointwise": Conv(in_channels, act="relu")}

    def _main_input(self, in_channels: int) -> int:
        return in_channels if self.projects(in_channels) else in_channels // 2

    def primitives(self, shape: Shape) -> Iterator[tuple[Block, Shape]]:
        yield from primitives_of(self.main(shape[0]).values(), (self._main_input(shape[0]), *shape[1:]))
        yield from primitives_of(self.projection(shape[0]).values(), shape)

    def build(self, in_channels: int) -> nn.Module:
        main = nn.Sequential(layers_of(self.main(in_channels), self._main_input(in_channels)))
        projection = self.projection(in_channels)
        return ShuffleUnit(main, nn.Sequential(layers_of(projection, in_channels)) if projection else None)


@dataclass(frozen=True)
class ResidualConv(Block):
    """A convolution with batch norm and activation that keeps the shape, with a shortcut around all of it."""

    kernel: int = 3
    act: str = "relu"

    def parts(self, in_channels: int) -> dict[str, Block]:
        return {"inner": Conv(in_channels, self.kernel, act=self.act)}

    def has_shortcut(self, in_channels: int) -> bool:
        return True


@dataclass(frozen=True)
class Bottleneck(Block):
    """ResNet-D's block (He et al. 2019): 1x1 to `expand` times the output width, kxk, linear 1x1; ReLU after the sum.

    With `project` the shortcut is a mean of 2x2 where the block is strided, and a linear 1x1 convolution; without, it
    is the input. Raises ValueError for a stride above 2.
    """

    out_channels: int
    expand: float = 0.25
    kernel: int = 3
    stride: int = 1
    project: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride > 2:
            raise ValueError(f"a bottleneck's shortcut has stride 1 or 2, not {self.stride}")

    @property
    def label(self) -> str:
        return f"bottleneck_e{self.expand:g}"

    def main(self) -> dict[str, Block]:
        """The parts of the main branch."""
        hidden = make_divisible(round(self.out_channels * self.expand))
        return {
            "reduce": Conv(hidden, act="relu"),
            "conv": Conv(hidden, self.kernel, self.stride, act="relu"),
            "widen": Conv(self.out_channels, act=""),
        }

    def shortcut(self) -> dict[str, Block]:
        """The parts of the shortcut; none where the input passes."""
        if not self.project:
            return {}
        pooling: dict[str, Block] = {"pool": Pool("mean2x2")} if self.stride == 2 else {}
        return pooling | {"project": Conv(self.out_channels, act="")}

    def primitives(self, shape: Shape) -> Iterator[tuple[Block, Shape]]:
        if not self.project and (self.stride > 1 or shape[0] != self.out_channels):
            raise ValueError(f"{self.label} to {self.out_channels} channels needs a projection behind {shape[0]}")
        yield from primitives_of(self.main().values(), shape)
        yield from primitives_of(self.shortcut().values(), shape)

    def build(self, in_channels: int) -> nn.Module:
        main = nn.Sequential(layers_of(self.main(), in_channels))
        shortcut = self.shortcut()
        return BottleneckUnit(main, nn.Sequential(layers_of(shortcut, in_channels)) if shortcut else None)


@dataclass(frozen=True)
class Projection(Block):
    """A shortcut to another width (AttentiveNAS, Wang et al. 2021): a 1x1 convolution without batch norm.

    Where it is strided it reads the mean of 2x2 pixels. Raises ValueError for a stride above 2.
    """

    out_channels: int
    stride: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride > 2:
            raise ValueError(f"a projection has stride 1 or 2, not {self.stride}")

    def parts(self, in_channels: int) -> dict[str, Block]:
        pooling: dict[str, Block] = {"pool": Pool("mean2x2")} if self.stride == 2 else {}
        return pooling | {"conv": Conv(self.out_channels, act="", bn=False)}


@dataclass(frozen=True)
class Separable(Block):
    """A depthwise and a 1x1 convolution, each with batch norm and ReLU (MobileNet, Howard et al. 2017)."""

    out_channels: int
    kernel: int = 3
    stride: int = 1

    @property
    def label(self) -> str:
        return f"sep_k{self.kernel}"

    def parts(self, in_channels: int) -> dict[str, Block]:
        return {
            "depthwise": Conv(None, self.kernel, self.stride, act="relu"),
            "pointwise": Conv(self.out_channels, act="relu"),
        }


@dataclass(frozen=True)
class Ghost(Block):
    """Ghost module (Han et al. 2020): a 1x1 convolution to half of the channels, a depthwise one of those to the rest.

    The stride is the 1x1 convolution's. Raises ValueError for an odd number of output channels.
    """

    out_channels: int
    kernel: int = 3
    stride: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.out_channels % 2:
            raise ValueError(f"a ghost module halves its channels, but {self.out_channels} is an odd number")

    @property
    def label(self) -> str:
        return f"gh_k{self.kernel}"

    def parts(self, in_channels: int) -> dict[str, Block]:
        """Both convolutions; the second reads the first, and the output is what both give."""
        return {
            "primary": Conv(self.out_channels // 2, 1, self.stride, act="relu"),
            "cheap": Conv(None, self.kernel, act="relu"),
        }

    def build(self, in_channels: int) -> nn.Module:
        return GhostUnit(**layers_of(self.parts(in_channels), in_channels))
