"""Blocks of cells: the operations of DARTS, NASNet and AmoebaNet, each of which keeps the channels that enter.

Every convolution is ReLU, convolution, batch norm (Liu et al. 2019, section 3.1). In a supernet's cells batch norms
learn no scale and shift (`affine`), and one follows a pooling, so that no edge is louder than another.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from supernet.blocks import Block, Conv, Pool, Shape
from supernet.dense import FitMap
from supernet.torch_blocks import Activate, Norm, PlainConv


@dataclass(frozen=True)
class SepConv(Block):
    """A depthwise separable convolution, twice: the second keeps the resolution."""

    kernel: int = 3
    stride: int = 1
    affine: bool = True

    @property
    def label(self) -> str:
        return f"sep_conv_{self.kernel}x{self.kernel}"

    def parts(self, in_channels: int) -> dict[str, Block]:
        parts: dict[str, Block] = {}
        for number, stride in ((1, self.stride), (2, 1)):
            parts[f"depthwise{number}"] = Conv(None, self.kernel, stride, act="relu", pre_activation=True, bn=False)
            parts[f"pointwise{number}"] = Conv(in_channels, act="", affine=self.affine)
        return parts


@dataclass(frozen=True)
class DilConv(Block):
    """A depthwise separable convolution whose kernel leaves out every other place."""

    kernel: int = 3
    stride: int = 1
    affine: bool = True

    @property
    def label(self) -> str:
        return f"dil_conv_{self.kernel}x{self.kernel}"

    def parts(self, in_channels: int) -> dict[str, Block]:
        return {
            "depthwise": Conv(
                None, self.kernel, self.stride, dilation=2, act="relu", pre_activation=True, bn=False
            ),
            "pointwise": Conv(in_channels, act="", affine=self.affine),
        }  # fmt: skip


@dataclass(frozen=True)
class CrossConv(Block):
    """A row and then a column of `kernel` places: NASNet's and AmoebaNet's `conv_7x1_1x7`."""

    kernel: int = 7
    stride: int = 1
    affine: bool = True

    @property
    def label(self) -> str:
        return f"conv_{self.kernel}x1_1x{self.kernel}"

    def parts(self, in_channels: int) -> dict[str, Block]:
        kernel, stride, padding = self.kernel, self.stride, self.kernel // 2
        return {
            "act": Activate("relu"),
            "row": PlainConv(in_channels, (1, kernel), (1, stride), (0, padding)),
            "column": PlainConv(in_channels, (kernel, 1), (stride, 1), (padding, 0)),
            "norm": Norm(affine=self.affine),
        }


@dataclass(frozen=True)
class NormedPool(Block):
    """3x3 pooling and a batch norm without parameters, as a supernet's cells have it."""

    kind: str = "avg"
    stride: int = 1

    @property
    def label(self) -> str:
        return f"{self.kind}_pool_3x3"

    def parts(self, in_channels: int) -> dict[str, Block]:
        return {"pool": Pool(self.kind, self.stride), "norm": Norm(affine=False)}


@dataclass(frozen=True)
class FactorizedReduce(Block):
    """Half the resolution without losing a place: two strided 1x1 convolutions, the second one pixel further on."""

    out_channels: int | None = None
    affine: bool = True
    relu: bool = True

    @property
    def label(self) -> str:
        return "skip/2" if self.out_channels is None else "reduce"

    def output_shape(self, shape: Shape) -> Shape:
        return self.out_channels or shape[0], -(-shape[1] // 2), -(-shape[2] // 2)

    def macs(self, shape: Shape) -> int:
        channels, height, width = self.output_shape(shape)
        return shape[0] * channels * height * width

    def params(self, shape: Shape) -> int:
        channels, _, _ = self.output_shape(shape)
        return shape[0] * channels + 2 * channels * self.affine

    def build(self, in_channels: int) -> nn.Module:
        return FactorizedReduction(in_channels, self.out_channels or in_channels, self.affine, self.relu)


class FactorizedReduction(nn.Module):
    """ReLU, both convolutions side by side, batch norm. A last odd row or column is followed by zeros."""

    def __init__(self, in_channels: int, channels: int, affine: bool, relu: bool) -> None:
        super().__init__()
        self.relu = relu
        self.even = nn.Conv2d(in_channels, channels - channels // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(in_channels, channels // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C', H/2, W/2), rounded up
        x = x.relu() if self.relu else x
        odd = [side % 2 for side in x.shape[2:]]
        further = (F.pad(x, (0, odd[1], 0, odd[0])) if any(odd) else x)[:, :, 1:, 1:]
        return self.norm(torch.cat((self.even(x), self.odd(further)), 1))


@dataclass(frozen=True)
class Branch(Block):
    """An operation that is a whole layer (ENAS, Pham et al. 2018, section 2.3), behind a 1x1 convolution.

    Args:
        out_channels: of the 1x1 convolution and of the layer.
        operation: conv or sep_conv, with batch norm and ReLU, or avg or max, pooling of 3x3.
        kernel: of the convolution.
    """

    out_channels: int = 36
    operation: str = "conv"
    kernel: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.operation not in ("conv", "sep_conv", "avg", "max"):
            raise ValueError(f"unknown operation {self.operation!r}; known: conv, sep_conv, avg, max")

    @property
    def label(self) -> str:
        return f"{self.operation}{self.kernel}x{self.kernel}"

    def parts(self, in_channels: int) -> dict[str, Block]:
        parts: dict[str, Block] = {"enter": Conv(self.out_channels, act="relu")}
        if self.operation in ("avg", "max"):
            return parts | {"pool": Pool(self.operation)}
        if self.operation == "sep_conv":
            parts["depthwise"] = Conv(None, self.kernel, act="", bn=False)
        kernel = 1 if self.operation == "sep_conv" else self.kernel
        return parts | {"conv": Conv(self.out_channels, kernel, act="relu")}


@dataclass(frozen=True)
class AuxiliaryHead(Block):
    """A classifier on the way, whose loss is trained besides (Szegedy et al. 2015), as DARTS has it.

    Pooling 5x5 to 2x2, a 1x1 convolution to 128 channels, a 2x2 one to 768, a linear classifier. A map of another side
    than `stride` + 5, of 8 places for CIFAR, is brought to that side by averaging.

    Args:
        classes: of the classifier.
        stride: of the pooling; 2 for ImageNet.
        norm: a batch norm follows the last convolution; DARTS's network for ImageNet lacks it.
    """

    classes: int = 10
    stride: int = 3
    norm: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        return self.classes, 1, 1

    def macs(self, shape: Shape) -> int:
        return 4 * shape[0] * 128 + 4 * 128 * 768 + 768 * self.classes

    def params(self, shape: Shape) -> int:
        norms = 2 * 128 + 2 * 768 * self.norm
        return shape[0] * 128 + 4 * 128 * 768 + norms + (768 + 1) * self.classes

    def build(self, in_channels: int) -> nn.Module:
        layers = OrderedDict[str, nn.Module](
            fit=FitMap(self.stride + 5),
            act=nn.ReLU(),  # not in place: the cells behind read the same map
            pool=nn.AvgPool2d(5, self.stride),
            conv1=nn.Conv2d(in_channels, 128, 1, bias=False),
            norm1=nn.BatchNorm2d(128),
            act1=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(128, 768, 2, bias=False),
        )
        if self.norm:
            layers["norm2"] = nn.BatchNorm2d(768)
        layers |= OrderedDict(act2=nn.ReLU(inplace=True), flatten=nn.Flatten(), linear=nn.Linear(768, self.classes))
        return nn.Sequential(layers)
