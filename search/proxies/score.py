"""The form of a zero-cost score: a number that a network has before any training, from one batch of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from supernet import Network

WEIGHTED = (nn.Conv2d, nn.Linear)
"""Layers whose weights are scored; biases and batch norms never are, as in Abdelfattah et al. 2021."""


class Sample(NamedTuple):
    """One batch that networks are scored on.

    Args:
        images: (B, C, H, W), normalised as for training.
        targets: (B,) classes, or (B, O) values.
        classes: how many there are in the data set.
        loss: (outputs (B, O), targets) -> the mean loss ().
        seed: of what a score draws, alike for every network.
    """

    images: Tensor
    targets: Tensor
    classes: int
    loss: Callable[[Tensor, Tensor], Tensor]
    seed: int = 0

    @property
    def generator(self) -> torch.Generator:
        """A new generator, on the CPU."""
        return torch.Generator().manual_seed(self.seed)


Function = Callable[[Network, Sample], float]
"""Scores a network in training mode, which is a copy: it may be changed."""


@dataclass(frozen=True)
class ZeroCostScore:
    """One score.

    Args:
        function: computes it.
        paper: where it comes from.
        takes: what it costs, in words.
        labels: whether it reads the targets.
        maximise: whether more is better.
    """

    function: Function
    paper: str
    takes: str
    labels: bool = False
    maximise: bool = True

    def __call__(self, network: Network, sample: Sample) -> float:
        """The score of a network, which is left as it is; NaN where it is not a number.

        The network is scored in training mode, its batch norms on the statistics of the batch, from its own weights.
        """
        copy = deepcopy(network).train()
        for parameter in copy.parameters():
            parameter.requires_grad_(True)
        with torch.enable_grad():
            score = float(self.function(copy, sample))
        return score if math.isfinite(score) else math.nan


def weighted_layers(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """The convolutions and linear layers, in order."""
    return [module for module in network.modules() if isinstance(module, WEIGHTED)]
