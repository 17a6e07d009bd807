"""Blocks of landmark networks (PFLD, Guo et al. 2019, as NNI's FBNet example searches it): learned pooling.

Where a landmark lies matters, so nothing here averages over places alike: a depthwise convolution as large as the
feature map weighs every place of a channel. Its kernel is as large as the map of the resolution that a space was laid
out for; a map of another size is brought to it by averaging first, so that one set of weights serves every resolution.
"""

from dataclasses import dataclass

from torch import nn

from supernet.blocks import Block, Conv, Shape
from supernet.layers import LearnedPooling, SpatialExcitation, StridedPooling


@dataclass(frozen=True)
class LearnedPool(Block):
    """A weighted mean over all places, its weights learned per channel: a depthwise `size` x `size` convolution."""

    size: int

    @property
    def label(self) -> str:
        return f"pool{self.size}x{self.size}"

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0], 1, 1

    def macs(self, shape: Shape) -> int:
        return shape[0] * self.size**2

    def params(self, shape: Shape) -> int:
        return shape[0] * self.size**2

    def build(self, in_channels: int) -> nn.Module:
        return LearnedPooling(in_channels, self.size)


@dataclass(frozen=True)
class StridedPool(Block):
    """A depthwise convolution that brings a map to another scale: kernel `stride` + 1, one pixel of padding.

    Without batch norm or activation. The output has the size that as many halvings give, each rounded up. Raises
    ValueError for a stride below 2.
    """

    stride: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride < 2:
            raise ValueError("a pool to another scale has a stride of at least 2")

    @property
    def label(self) -> str:
        return f"pool/{self.stride}"

    def macs(self, shape: Shape) -> int:
        _, height, width = self.output_shape(shape)
        return self.params(shape) * height * width

    def params(self, shape: Shape) -> int:
        return shape[0] * (self.stride + 1) ** 2

    def build(self, in_channels: int) -> nn.Module:
        return StridedPooling(in_channels, self.stride)


@dataclass(frozen=True)
class SpatialExcite(Block):
    """eSE with learned pooling: a gate per channel from `LearnedPool`, a 1x1 convolution and a hard sigmoid; then ReLU.

    One 1x1 convolution of full width in place of squeeze-and-excitation's two (Lee and Park 2020).
    """

    size: int

    def macs(self, shape: Shape) -> int:
        return shape[0] * self.size**2 + shape[0] ** 2

    def params(self, shape: Shape) -> int:
        return shape[0] * self.size**2 + shape[0] ** 2 + shape[0]

    def build(self, in_channels: int) -> nn.Module:
        return SpatialExcitation(in_channels, self.size)


@dataclass(frozen=True)
class DilatedResidual(Block):
    """An inverted residual with dilation and eSE, all ReLU, that keeps its 1x1 expansion at expansion 1.

    eSE weighs a map of `excite` x `excite` places, the output's; there is none where that is None. The input is added
    where stride is 1 and the width unchanged, unless `residual` is False.
    """

    out_channels: int
    kernel: int = 3
    expand: int = 1
    stride: int = 1
    dilation: int = 1
    excite: int | None = None
    residual: bool = True

    @property
    def label(self) -> str:
        """As NNI names it: mb_k5_e2_res_se; `d3`, a dilation of 3, implies an expansion of 2 there."""
        expand = f"_e{self.expand}" if self.expand > 1 and self.dilation == 1 else ""
        ends = [("_res", self.residual), (f"_d{self.dilation}", self.dilation > 1), ("_se", self.excite is not None)]
        return f"mb_k{self.kernel}{expand}" + "".join(end for end, there in ends if there)

    def parts(self, in_channels: int) -> dict[str, Block]:
        """expand, depthwise, [excite,] project."""
        hidden = in_channels * self.expand
        act = "relu" if self.excite is None else ""  # eSE ends with a ReLU of its own
        parts: dict[str, Block] = {
            "expand": Conv(hidden, act="relu"),
            "depthwise": Conv(None, self.kernel, self.stride, dilation=self.dilation, act=act),
        }
        if self.excite is not None:
            parts["excite"] = SpatialExcite(self.excite)
        return parts | {"project": Conv(self.out_channels, act="")}

    def has_shortcut(self, in_channels: int) -> bool:
        return self.residual and self.stride == 1 and in_channels == self.out_channels
