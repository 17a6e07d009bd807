"""A block of one's own: two convolutions around a residual."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from supernet import Block, Shape
from supernet.blocks import Conv


class Residual(nn.Module):
    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


@dataclass(frozen=True)
class DoubleConv(Block):
    """conv - conv, with the input added; the channels stay."""

    kernel: int = 3

    def parts(self, channels: int) -> tuple[Conv, Conv]:
        return Conv(channels, self.kernel), Conv(channels, self.kernel, act="")

    def primitives(self, shape: Shape) -> Iterator[tuple[Block, Shape]]:
        for part in self.parts(shape[0]):
            yield part, shape

    def build(self, in_channels: int) -> nn.Module:
        return Residual(*(part.build(in_channels) for part in self.parts(in_channels)))
