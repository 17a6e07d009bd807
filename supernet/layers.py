"""The few layers that torch does not have ready made."""

import torch
from torch import nn


class Residual(nn.Sequential):
    """x + layers(x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C, H, W)
        return x + super().forward(x)


class ChannelShuffle(nn.Module):
    """Interleave the channels of `groups` groups (ShuffleNet). Static sizes keep the exported graph small."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C, H, W)
        batch, channels, height, width = x.shape
        x = x.view(batch, self.groups, channels // self.groups, height, width)
        return x.transpose(1, 2).reshape(batch, channels, height, width)


class Leading(nn.Module):
    """The first channels of a feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, channels, H, W)
        return x[:, : self.channels]


class SqueezeExcitation(nn.Module):
    """Scale every channel by a gate computed from the channel means."""

    def __init__(self, channels: int, mid: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, mid, 1)
        self.expand = nn.Conv2d(mid, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C, H, W)
        mean = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * nn.functional.hardsigmoid(self.expand(self.reduce(mean).relu()))


class ZeroLayer(nn.Module):
    """Zeros of the (strided) input's shape, still part of the graph so that the input has a gradient of zero."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C, H/s, W/s)
        return x[:, :, :: self.stride, :: self.stride] * 0


class ShuffleUnit(nn.Module):
    """ShuffleNetV2 unit of SPOS: even channels pass (or are projected), odd ones run through `main`; concatenate.

    With a projection branch both branches read all channels. Without one the split comes first, as in the official
    single-path one-shot code, so that channels mix between units.
    """

    def __init__(self, main: nn.Module, projection: nn.Module | None) -> None:
        super().__init__()
        self.main = main
        self.projection = projection

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C', H', W')
        if self.projection is not None:
            return torch.cat((self.projection(x), self.main(x)), 1)
        batch, channels, height, width = x.shape
        pairs = x.view(batch, channels // 2, 2, height, width)
        return torch.cat((pairs[:, :, 0], self.main(pairs[:, :, 1])), 1)


class BottleneckUnit(nn.Module):
    """ReLU of the main branch plus the shortcut, which is the input itself where there is no module for it."""

    def __init__(self, main: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C', H', W')
        return (self.main(x) + (x if self.shortcut is None else self.shortcut(x))).relu()


class LearnedPooling(nn.Module):
    """One number per channel: a depthwise convolution over the whole map, which is averaged to its size first."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weigh = nn.Conv2d(channels, channels, size, groups=channels, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C, 1, 1)
        if tuple(x.shape[2:]) != (self.size, self.size):
            x = nn.functional.adaptive_avg_pool2d(x, self.size)
        return self.weigh(x)


class StridedPooling(nn.Module):
    """A depthwise convolution of kernel stride + 1, padded by one pixel and by as many more as a last window lacks."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weigh = nn.Conv2d(channels, channels, stride + 1, stride, 1, groups=channels, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C, H/s, W/s), rounded up
        lacking = [max(0, -(-side // self.stride) * self.stride - side - 1) for side in x.shape[2:]]
        if any(lacking):
            x = nn.functional.pad(x, (0, lacking[1], 0, lacking[0]))
        return self.weigh(x)


class SpatialExcitation(nn.Module):
    """ReLU of every channel scaled by a gate that is computed from a learned pooling."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.pool = LearnedPooling(channels, size)
        self.excite = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C, H, W)
        return (x * nn.functional.hardsigmoid(self.excite(self.pool(x)))).relu()


class GhostUnit(nn.Module):
    """Some channels by a convolution, the rest cheaply from those; concatenated."""

    def __init__(self, primary: nn.Module, cheap: nn.Module) -> None:
        super().__init__()
        self.primary = primary
        self.cheap = cheap

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C', H', W')
        first = self.primary(x)
        return torch.cat((first, self.cheap(first)), 1)
