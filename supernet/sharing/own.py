"""The weights at one site of a supernet, and the plain case: every option has weights of its own."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import nn

from supernet.blocks import Block
from supernet.gating import Forward, Mixture, mix_outputs


class SharedWeights(nn.Module):
    """The weights at one site, made of its options and the numbers of input channels that it can meet."""

    options: tuple[Block, ...]
    layers: nn.ModuleList

    def path(self, option: int) -> Forward:
        """The option alone: x (B, C, H, W) -> (B, C', H', W')."""
        raise NotImplementedError

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixture:
        """A function (x, one weight each) -> the options' mixture, see `supernet.gating`."""
        norms = [partial(self.batch_norms, option) for option in chosen] if recompute else None
        return mix_outputs([self.path(option) for option in chosen], norms)

    def tensors(self, option: int, in_channels: int, writable: bool = False) -> dict[str, torch.Tensor]:
        """Parameters and buffers that the option uses, by their names in its own layer.

        With `writable` only those that are views, so that writing to them writes the shared weights.
        """
        raise NotImplementedError

    def layer(self, option: int, in_channels: int) -> nn.Module:
        """The option's layer with copies of its weights, batch-norm statistics and settings."""
        raise NotImplementedError

    def holder(self, option: int) -> nn.Module:
        """The layer whose parameters a step through the option may change."""
        return self.layers[option]

    def weights(self, option: int) -> list[nn.Parameter]:
        """The parameters a step through the option may change."""
        return list(self.holder(option).parameters())

    def batch_norms(self, option: int) -> list[nn.BatchNorm2d]:
        """The batch norms whose settings are the option's while it runs."""
        return [module for module in self.holder(option).modules() if isinstance(module, nn.BatchNorm2d)]


class OwnWeights(SharedWeights):
    """Every option has weights of its own, for one number of input channels unless nothing has weights."""

    def __init__(self, options: Sequence[Block], in_channels: Sequence[int]) -> None:
        super().__init__()
        self.options = tuple(options)
        self.layers = nn.ModuleList(block.build(in_channels[0]) for block in options)
        if len(in_channels) > 1 and self.state_dict():
            raise ValueError(
                f"input widths {tuple(in_channels)}: options with weights of their own need one; slice them"
            )

    def path(self, option: int) -> Forward:
        return self.layers[option]

    def tensors(self, option: int, in_channels: int, writable: bool = False) -> dict[str, torch.Tensor]:
        return dict(self.layers[option].state_dict())

    def layer(self, option: int, in_channels: int) -> nn.Module:
        return deepcopy(self.layers[option])
