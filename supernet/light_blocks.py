"""Blocks that save MACs by depthwise convolutions: separable convolutions (MobileNet) and ghost modules (GhostNet)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from supernet.blocks import Block, Conv, Shape
from supernet.composites import layers_of, primitives_of
from supernet.layers import GhostUnit


@dataclass(frozen=True)
class Separable(Block):
    """A depthwise and a 1x1 convolution, each with batch norm and ReLU (MobileNet, Howard et al. 2017)."""

    out_channels: int
    kernel: int = 3
    stride: int = 1

    @property
    def label(self) -> str:
        return f"sep_k{self.kernel}"

    def parts(self) -> dict[str, Block]:
        """The primitives by name, in the order they run."""
        return {
            "depthwise": Conv(None, self.kernel, self.stride, act="relu"),
            "pointwise": Conv(self.out_channels, act="relu"),
        }

    def primitives(self, shape: Shape) -> Iterator[tuple[Block, Shape]]:
        return primitives_of(self.parts().values(), shape)

    def output_shape(self, shape: Shape) -> Shape:
        return self.out_channels, -(-shape[1] // self.stride), -(-shape[2] // self.stride)

    def build(self, in_channels: int) -> nn.Module:
        return nn.Sequential(layers_of(self.parts(), in_channels))


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

    def parts(self) -> dict[str, Block]:
        """Both convolutions; the second reads the first, and the output is what both give."""
        return {
            "primary": Conv(self.out_channels // 2, 1, self.stride, act="relu"),
            "cheap": Conv(None, self.kernel, act="relu"),
        }

    def primitives(self, shape: Shape) -> Iterator[tuple[Block, Shape]]:
        return primitives_of(self.parts().values(), shape)

    def output_shape(self, shape: Shape) -> Shape:
        return self.out_channels, -(-shape[1] // self.stride), -(-shape[2] // self.stride)

    def build(self, in_channels: int) -> nn.Module:
        return GhostUnit(**layers_of(self.parts(), in_channels))
