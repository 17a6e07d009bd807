"""An exponential moving average of a network's weights, which often tests better than the weights themselves."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """average += (1 - d) * (weights - average) after every step; buffers (BN statistics) are copied as they are.

    d = min(decay, (1 + n) / (10 + n)) after n steps, so that a short training is not an average of its random start
    (the rule of TensorFlow's ExponentialMovingAverage).

    Attributes:
        network: a copy of the model that holds the average; evaluate and save this one.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = deepcopy(model).eval().requires_grad_(False)
        self._averages: list[Tensor] = list(self.network.parameters())
        self._weights: list[Tensor] = [p.detach() for p in model.parameters()]
        self._copies, self._buffers = list(self.network.buffers()), list(model.buffers())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._weights, 1.0 - decay)
        torch._foreach_copy_(self._copies, self._buffers)

    def state_dict(self) -> dict[str, Any]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state)
