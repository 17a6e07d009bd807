"""The few layers that torch does not have ready made."""

from __future__ import annotations

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
