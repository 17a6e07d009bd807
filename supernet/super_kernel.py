"""Single-Path NAS (Stamoulis et al. 2019): the options of a layer mix inside one depthwise kernel.

A layer is one inverted residual, the largest. A 3x3 kernel is the centre of its 5x5, expansion 3 the first half of its
channels, expansion 0 the skip. `supernet.thresholds` has the indicators that choose among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.blocks import Block, Identity
from supernet.composites import InvertedResidual
from supernet.gating import Mixed, Sampled, Weight
from supernet.layers import Residual
from supernet.sharing import Sliced


class SuperKernel(Sliced):
    """Inverted residuals that are slices of the largest, and an identity where there is one.

    Chosen alone, an option is a slice as in `Sliced`. With soft weights nothing but the largest runs, once: its
    depthwise taps are weighted by their probability relative to their channel (a batch norm would undo the scale of a
    channel), and the channels after the activation by theirs, so that one-hot weights are exactly the option.
    """

    def __init__(self, options: Sequence[Block], in_channels: Sequence[int]) -> None:
        super().__init__(options, in_channels)
        kept = [block for block in options if not isinstance(block, Identity)]
        if not all(isinstance(b, InvertedResidual) and not b.se and b.groups == 1 and b.expand > 1 for b in kept):
            raise ValueError(
                "a super-kernel holds inverted residuals, without squeeze-excite or groups, and identities"
            )
        if len(self.layers) != 1:
            raise ValueError("the options of a super-kernel are slices of one of them")

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixed:
        """Soft weights mix inside the kernel; sampled gates run options as slices."""
        by_option = super().mix(chosen, recompute)

        def run(x: Tensor, weights: Sequence[Weight]) -> Tensor:
            if isinstance(weights[0], Sampled):
                return by_option(x, weights)
            return self._mixed(x, chosen, torch.stack([w for w in weights if isinstance(w, Tensor)]))

        return run

    def kernel(self) -> nn.Parameter:
        """The depthwise weights (hidden, 1, k, k) of the largest option."""
        weight: nn.Parameter = self.layers[0][1][0].weight  # type: ignore[index]  # expand, depthwise, project
        return weight

    def masks(self, option: int) -> tuple[Tensor, Tensor]:
        """Which taps (hidden, 1, k, k) and which channels (hidden,) of the kernel an option uses."""
        kernel, weight = torch.zeros_like(self.kernel()), self.kernel()
        channels = weight.new_zeros(len(weight))
        block = self.options[option]
        if isinstance(block, InvertedResidual):
            largest = max(b.expand for b in self.options if isinstance(b, InvertedResidual))
            hidden = len(weight) if block.expand == largest else self._skeleton(option, self._width()).links[0].shape[0]
            spare = (weight.shape[-1] - block.kernel) // 2
            channels[:hidden] = 1
            kernel[:hidden, :, spare : weight.shape[-1] - spare, spare : weight.shape[-1] - spare] = 1
        return kernel.detach(), channels.detach()

    def _width(self) -> int:
        return int(self.layers[0][0][0].weight.shape[1])  # type: ignore[index]

    def _mixed(self, x: Tensor, chosen: Sequence[int], shares: Tensor) -> Tensor:
        largest, weight = self.layers[0], self.kernel()
        assert isinstance(largest, nn.Sequential)
        taps, channels = (torch.stack(masks) for masks in zip(*(self.masks(o) for o in chosen), strict=True))
        real = [not isinstance(self.options[o], Identity) for o in chosen]
        keep = shares[real].sum()
        tap, channel = torch.tensordot(shares, taps, 1), torch.tensordot(shares, channels, 1)
        # What has no share is as it would be if it had one, so that its gradient says whether it should.
        used = channel > 0
        per_channel = tap / torch.where(used, channel, 1.0)[:, None, None, None]
        relative = torch.where(used[:, None, None, None], per_channel, per_channel[:1])
        share = torch.where(keep > 0, channel / torch.where(keep > 0, keep, 1.0), channels.amax(0))
        expand, depthwise, project = cast(tuple[nn.Sequential, ...], tuple(largest))
        h = expand(x)
        convolution = cast(nn.Conv2d, depthwise[0])
        h = F.conv2d(h, weight * relative, None, convolution.stride, convolution.padding, groups=len(weight))
        h = depthwise[2](depthwise[1](h)) * share[:, None, None]
        y = project(h) * keep
        if isinstance(largest, Residual):
            return y + x * shares.sum()  # along the shortcut as along the skip
        return y if all(real) else y + x * (shares.sum() - keep)
