"""Once-for-all's elastic kernels (Cai et al. 2020): a smaller kernel is a learned map of the centre of the next larger.

The maps are shared by all channels of a layer, start as identities, and are chained: 5x5 is made of the 7x7's centre,
3x3 of the centre of that 5x5. Channels and everything else are slices of the largest option, as in `Sliced`.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from supernet.blocks import Block, Identity
from supernet.composites import InvertedResidual
from supernet.sharing.sliced import Link, Sliced, crop

KERNEL = "depthwise.conv.weight"


class ElasticKernel(Sliced):
    """Inverted residuals of one structure, and an identity where there is one.

    A step through an option moves the largest one's tensors and the maps that its kernel is made by, no other map.
    """

    def __init__(self, options: Sequence[Block], in_channels: Sequence[int]) -> None:
        super().__init__(options, in_channels)
        kept = [block for block in options if not isinstance(block, Identity)]
        if len(self.layers) != 1 or not all(isinstance(block, InvertedResidual) for block in kept):
            raise ValueError("elastic kernels are those of inverted residuals that are slices of one of them")
        self.kernels = sorted({block.kernel for block in kept if isinstance(block, InvertedResidual)}, reverse=True)
        self.maps = nn.ParameterDict({f"{large}to{small}": torch.eye(small**2) for large, small in self._steps(0)})

    def take(self, link: Link) -> torch.Tensor:
        """The option's tensor; of the depthwise kernel (C, 1, k, k) the chain of maps from the largest."""
        if link.name != KERNEL:
            return super().take(link)
        kernel, size = link.source[: link.shape[0]], link.shape[-1]
        for large, small in self._steps(size):
            centre = crop(kernel, (*kernel.shape[:2], small, small)).reshape(-1, small**2)
            kernel = F.linear(centre, self.maps[f"{large}to{small}"]).view(*kernel.shape[:2], small, small)
        return kernel

    def weights(self, option: int) -> list[nn.Parameter]:
        block = self.options[option]
        steps = self._steps(block.kernel) if isinstance(block, InvertedResidual) else []
        return [*super().weights(option), *(self.maps[f"{large}to{small}"] for large, small in steps)]

    def _steps(self, size: int) -> list[tuple[int, int]]:
        """The maps, by the kernels before and after, from the largest kernel to this one."""
        return [pair for pair in pairwise(self.kernels) if pair[1] >= size]
