"""Random weights to start from."""

import torch
from torch import nn

from supernet.layers import Residual


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Set every weight as published networks of this kind do; the same seed gives the same weights.

    Convolutions: He normal over the fan-out (He et al. 2015); batch norm: scale 1, shift 0, fresh statistics; linear:
    N(0, 0.01), bias 0, as in MobileNetV2. The last batch norm of a residual branch starts at scale 0, so that a block
    begins as its shortcut (Goyal et al. 2017): what the paths of a supernet share is then the same signal, whichever
    blocks are sampled, and a short training gets much further. Other parameters keep the values they were built with.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, Residual):
            norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
            if norms and norms[-1].affine:
                nn.init.zeros_(norms[-1].weight)
