"""Single-Path NAS (Stamoulis et al. 2019): the options of a layer mix inside one depthwise kernel.

A layer is one inverted residual, the largest. A 3x3 kernel is the centre of its 5x5, expansion 3 the first half of its
channels, expansion 0 the skip. `supernet.relaxations.thresholds` has the indicators that choose among them.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.blocks import Block, Identity
from supernet.composites import InvertedResidual
from supernet.gating import Mixture, Sampled, Weight
from supernet.layers import Residual
from supernet.sharing.sliced import Sliced


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

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixture:
        """Soft weights mix inside the kernel; sampled gates run options as slices."""
        by_option = super().mix(chosen, recompute)

        def run(x: Tensor, weights: Sequence[Weight]) -> Tensor:
            if isinstance(weights[0], Sampled):
                return by_option(x, weights)
            return self._mixed(x, chosen, torch.stack([w for w in weights if isinstance(w, Tensor)]))

        return run

    def kernel(self) -> nn.Parameter:
        """The depthwise weights (hidden, 1, k, k) of the largest option."""
        return cast(nn.Parameter, self._part("depthwise").conv.weight)

    def _part(self, name: str) -> Any:
        """A layer of the largest option: expand, depthwise or project."""
        return getattr(self.layers[0], name)

    def masks(self, option: int) -> tuple[Tensor, Tensor]:
        """The taps (hidden, 1, k, k) and the channels (hidden,) of the kernel that an option uses: ones among zeros."""
        kernel, weight = torch.zeros_like(self.kernel()), self.kernel()
        channels = weight.new_zeros(len(weight))
        block = self.options[option]
        if isinstance(block, InvertedResidual):
            entering = self._part("expand").conv.in_channels
            hidden = block.parts(entering)["expand"].output_shape((entering, 1, 1))[0]
            spare = (weight.shape[-1] - block.kernel) // 2
            channels[:hidden] = 1
            kernel[:hidden, :, spare : weight.shape[-1] - spare, spare : weight.shape[-1] - spare] = 1
        return kernel.detach(), channels.detach()

    def _mixed(self, x: Tensor, chosen: Sequence[int], shares: Tensor) -> Tensor:
        """The largest option, run once on x, its kernel and channels weighted by what the options share of them."""
        weight, depthwise = self.kernel(), self._part("depthwise")
        taps, channels = (torch.stack(masks) for masks in zip(*(self.masks(o) for o in chosen), strict=True))
        real = [not isinstance(self.options[o], Identity) for o in chosen]
        # Probability that there is a block at all, that a tap is used, and that a channel is: sums over the options
        # that use it. They stand where the paper has the nested indicators of its w_k and w_(k,e).
        there = [share for share, is_block in zip(shares.unbind(), real, strict=True) if is_block]
        keep = torch.stack([shares.new_zeros(()), *there]).sum()
        tap, channel = torch.tensordot(shares, taps, 1), torch.tensordot(shares, channels, 1)
        # Kernel: a tap counts relative to its channel, P(tap | channel), as the batch norm behind would undo the rest.
        # What has no share is as it would be if it had one, so that its gradient says whether it should.
        used = channel > 0
        per_channel = tap / torch.where(used, channel, 1.0)[:, None, None, None]
        relative = torch.where(used[:, None, None, None], per_channel, per_channel[:1])
        # Channels: P(channel | block), behind the activation.
        share = torch.where(keep > 0, channel / torch.where(keep > 0, keep, 1.0), channels.amax(0))
        h = self._part("expand")(x)
        stride, padding = depthwise.conv.stride, depthwise.conv.padding
        h = F.conv2d(h, weight * relative, None, stride, padding, groups=len(weight))
        h = depthwise.act(depthwise.norm(h)) * share[:, None, None]
        # The block: P(block), and the rest of the probability passes the input unchanged.
        y: Tensor = self._part("project")(h) * keep
        if isinstance(self.layers[0], Residual):
            return y + x * shares.sum()  # along the shortcut as along the skip
        return y if all(real) else y + x * (shares.sum() - keep)
