"""Copies of layers, thousands in a search: as `copy.deepcopy` makes them, several times sooner."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

_PLAIN = (bool, int, float, str, type(None))


def copied(module: nn.Module) -> nn.Module:
    """A copy of a module with tensors of its own; what it shares within itself, the copy does too."""
    return _module(module, {})


def _module(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    if id(module) in memo or hasattr(module, "__deepcopy__"):
        known: nn.Module = deepcopy(module, memo)
        return known
    made = memo[id(module)] = module.__new__(type(module))
    state = made.__dict__
    for name, value in module.__dict__.items():
        if isinstance(value, _PLAIN) or (type(value) is tuple and all(isinstance(part, _PLAIN) for part in value)):
            state[name] = value
        elif isinstance(value, dict) and not value:  # most of them: hooks
            state[name] = type(value)()
        elif name == "_modules":
            state[name] = {key: None if part is None else _module(part, memo) for key, part in value.items()}
        elif name in ("_parameters", "_buffers"):
            state[name] = {key: _tensor(tensor, memo) for key, tensor in value.items()}
        else:
            state[name] = deepcopy(value, memo)
    return made


def _tensor(tensor: torch.Tensor | None, memo: dict[int, Any]) -> torch.Tensor | None:
    parameter = type(tensor) is nn.Parameter
    if tensor is None or id(tensor) in memo or not (parameter or (type(tensor) is torch.Tensor and tensor.is_leaf)):
        return deepcopy(tensor, memo)
    twin = tensor.detach().clone()
    made = memo[id(tensor)] = nn.Parameter(twin) if parameter else twin
    made.requires_grad_(tensor.requires_grad)
    return made
