"""Options with weights of their own on some of the channels; what passes beside them passes once."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch

from supernet.blocks import Block, Zero
from supernet.gating import Mixture, Sampled, Weight, mix_outputs
from supernet.partial import Partial, PartialLayer
from supernet.sharing.own import OwnWeights


class PartialWeights(OwnWeights):
    """Every option a `Partial` of the same number of groups. A mixture of them is

        shuffle(sum_k w_k op_k(first channels), (sum_k w_k) others)

    so that the other channels are read and written once, whatever the number of options.

    Raises:
        ValueError: options of other kinds.
    """

    def __init__(self, options: Sequence[Block], in_channels: Sequence[int]) -> None:
        super().__init__(options, in_channels)
        self.inners = [option.inner for option in options if isinstance(option, Partial)]
        if (
            len(self.inners) < len(options)
            or len({option.groups for option in options if isinstance(option, Partial)}) > 1
        ):
            raise ValueError("partial sharing is of Partial blocks of equally many groups")

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixture:
        layers = [cast("PartialLayer", self.layers[option]) for option in chosen]
        whole = super().mix(chosen, recompute)
        # Zeros weigh on the channels that pass, and are not added up.
        running = [place for place, option in enumerate(chosen) if not isinstance(self.inners[option], Zero)] or [0]
        norms = [partial(self.batch_norms, chosen[place]) for place in running] if recompute else None
        mixture = mix_outputs([layers[place].inner for place in running], norms)

        def run(x: torch.Tensor, weights: Sequence[Weight]) -> torch.Tensor:
            if any(isinstance(weight, Sampled) for weight in weights):
                return whole(x, weights)
            plain = cast("Sequence[torch.Tensor]", weights)
            kept = [plain[place] for place in running]
            return layers[0].around(x, lambda part: mixture(part, kept), torch.stack([*plain]).sum().to(x.dtype))

        return run
