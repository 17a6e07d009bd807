"""Ways in which the options of one site share their weights. A site of a supernet is one of these modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import nn

from supernet.blocks import Block
from supernet.gating import Forward, Mixture
from supernet.sharing.own import OwnWeights
from supernet.sharing.sliced import Sliced
from supernet.sharing.super_kernel import SuperKernel


class SharedWeights(Protocol):
    """The weights at one site, as a supernet uses them."""

    def path(self, option: int) -> Forward:
        """The option alone: x (B, C, H, W) -> (B, C', H', W')."""
        ...

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixture:
        """A function (x, one weight each) -> the options' mixture, see `supernet.gating`."""
        ...

    def tensors(self, option: int, in_channels: int, writable: bool = False) -> dict[str, torch.Tensor]:
        """Parameters and buffers that the option uses, by their names in its own layer.

        With `writable` only those that are views, so that writing to them writes the shared weights.
        """
        ...

    def layer(self, option: int, in_channels: int) -> nn.Module:
        """The option's layer with copies of its weights, batch-norm statistics and settings."""
        ...

    def weights(self, option: int) -> list[nn.Parameter]:
        """The parameters a step through the option may change."""
        ...


SHARING: dict[str, Callable[[Sequence[Block], Sequence[int]], nn.Module]] = {
    "own": OwnWeights,
    "sliced": Sliced,
    "super_kernel": SuperKernel,
}
"""Ways of sharing by the name a `Site` gives: (options, input widths they can meet) -> `SharedWeights`, a module."""
