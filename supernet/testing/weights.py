"""Weights of networks under test: put into a state as after training, compared and remembered."""

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def randomised(model: M) -> M:
    """Batch norms as after training: every channel has its own statistics and scale."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.2, 0.2),
            ):
                if tensor is not None:
                    tensor.data.uniform_(low, high, generator=generator)
    return model


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Greatest difference relative to the greatest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the state dict."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
