"""Partial connections (PC-DARTS, Xu et al. 2020): an operation on some channels of a map, the others pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from supernet.blocks import Block, Shape
from supernet.layers import ChannelShuffle


@dataclass(frozen=True)
class Partial(Block):
    """An operation that keeps the channels that enter, on the first of `groups` equal groups of them.

    The others pass, through a 2x2 maximum where the operation halves the resolution; then all are shuffled, so that
    every channel has its turn in the next cells.

    Args:
        inner: the operation.
        groups: of channels.
    """

    inner: Block
    groups: int = 4

    def __post_init__(self) -> None:
        if isinstance(self.inner, dict):  # as `to_dict` says it
            object.__setattr__(self, "inner", Block.from_dict(self.inner))
        super().__post_init__()

    @property
    def label(self) -> str:
        return f"{self.inner.label} 1/{self.groups}"

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "inner": self.inner.to_dict()}

    def _part(self, shape: Shape) -> Shape:
        channels, height, width = shape
        if channels % self.groups:
            raise ValueError(f"partial connections: {channels} channels are not {self.groups} equal parts")
        return channels // self.groups, height, width

    def output_shape(self, shape: Shape) -> Shape:
        _, height, width = self.inner.output_shape(self._part(shape))
        return shape[0], height, width

    def macs(self, shape: Shape) -> int:
        return self.inner.macs(self._part(shape))

    def params(self, shape: Shape) -> int:
        return self.inner.params(self._part(shape))

    def build(self, in_channels: int) -> nn.Module:
        channels, _, _ = self._part((in_channels, 1, 1))
        return PartialLayer(self.inner.build(channels), self.groups)


class PartialLayer(nn.Module):
    """The operation on the first channels, beside the others; shuffled."""

    def __init__(self, inner: nn.Module, groups: int) -> None:
        super().__init__()
        self.inner = inner
        self.groups = groups
        self.shuffle = ChannelShuffle(groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C, H/s, W/s)
        return self.around(x, self.inner, 1.0)

    def around(
        self, x: torch.Tensor, run: Callable[[torch.Tensor], torch.Tensor], weight: torch.Tensor | float
    ) -> torch.Tensor:
        """The first channels as `run` makes them, beside the others times `weight`; shuffled."""
        first, others = x.tensor_split([x.shape[1] // self.groups], 1)
        made = run(first)
        if made.shape[2:] != x.shape[2:]:
            others = F.max_pool2d(others, 2, ceil_mode=True)
        return self.shuffle(torch.cat((made, others if isinstance(weight, float) else others * weight), 1))
