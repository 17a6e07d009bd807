"""A site whose options have weights of their own."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import nn

from supernet.blocks import Block
from supernet.gating import Forward, Mixture, mix_outputs


class OwnWeights(nn.Module):
    """Every option has weights of its own.

    Args:
        options: the blocks that can stand at the site.
        in_channels: the numbers of input channels the site can meet; more than one only where nothing has weights.
    """

    def __init__(self, options: Sequence[Block], in_channels: Sequence[int]) -> None:
        super().__init__()
        self.options = tuple(options)
        self.layers = nn.ModuleList(block.build(in_channels[0]) for block in options)
        if len(in_channels) > 1 and self.state_dict():
            raise ValueError(
                f"input widths {tuple(in_channels)}: options with weights of their own need one; slice them"
            )

    def path(self, option: int) -> Forward:
        """The option alone: x (B, C, H, W) -> (B, C', H', W')."""
        return self.layers[option]

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixture:
        """A function (x, one weight each) -> the options' mixture, see `supernet.gating`."""
        norms = [partial(self.batch_norms, option) for option in chosen] if recompute else None
        return mix_outputs([self.path(option) for option in chosen], norms)

    def tensors(self, option: int, in_channels: int, writable: bool = False) -> dict[str, torch.Tensor]:
        """Parameters and buffers of the option's own layer, by their names there; all can be written to."""
        return dict(self.layers[option].state_dict())

    def layer(self, option: int, in_channels: int) -> nn.Module:
        """A copy of the option's own layer."""
        return deepcopy(self.layers[option])

    def weights(self, option: int) -> list[nn.Parameter]:
        """The parameters a step through the option may change."""
        return list(self.layers[option].parameters())

    def batch_norms(self, option: int) -> list[nn.BatchNorm2d]:
        """The batch norms that run with the option."""
        return [module for module in self.layers[option].modules() if isinstance(module, nn.BatchNorm2d)]
