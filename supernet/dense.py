"""Dense: a hidden layer that reads a feature map as a whole, as classic CNNs have before their classifier."""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from supernet.blocks import Block, Shape


@dataclass(frozen=True)
class Dense(Block):
    """A linear layer with ReLU, from all values of a map of `side` x `side` places to a map of one pixel of `units`.

    A map of another size is brought to `side` by averaging, so that one set of weights serves every resolution.
    """

    units: int
    side: int

    @property
    def label(self) -> str:
        return f"dense{self.units}"

    def output_shape(self, shape: Shape) -> Shape:
        return self.units, 1, 1

    def macs(self, shape: Shape) -> int:
        return shape[0] * self.side**2 * self.units

    def params(self, shape: Shape) -> int:
        return self.macs(shape) + self.units

    def build(self, in_channels: int) -> nn.Module:
        # A convolution as large as the map is a linear layer whose inputs can be sliced by channels.
        conv = nn.Conv2d(in_channels, self.units, self.side)
        return nn.Sequential(OrderedDict(fit=FitMap(self.side), conv=conv, act=nn.ReLU(inplace=True)))


class FitMap(nn.Module):
    """A map of `side` x `side`: as it is, or averaged to that size."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, side, side)
        return x if tuple(x.shape[2:]) == (self.side, self.side) else F.adaptive_avg_pool2d(x, self.side)
