"""Scores by how differently a network responds to different images: Jacobians, activation patterns, perturbations."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search.proxies.gradients import ACTIVATIONS
from search.proxies.score import Sample, weighted_layers
from supernet import Network

EXACT = 2**24
"""Integers up to here are exact in float32."""
LEAST = 1e-5
"""Added where a logarithm or an inverse could be of 0, as in the published implementations."""


def _jacobian(network: Network, sample: Sample) -> NDArray[np.float64]:
    """(B, C H W) gradients of the summed outputs by each image."""
    images = sample.images.clone().requires_grad_(True)
    outputs = network(images).sum()
    (gradient,) = torch.autograd.grad(outputs, images)
    return np.asarray(gradient.flatten(1).double().cpu().numpy())


def jacov(network: Network, sample: Sample) -> float:
    """-sum (ln(v + k) + 1 / (v + k)) over the eigenvalues v of the correlations of Jacobians (Mellor et al. 2020)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.corrcoef(_jacobian(network, sample))
    if not np.isfinite(correlations).all():
        return math.nan
    values = np.linalg.eigvalsh(correlations) + LEAST
    with np.errstate(invalid="ignore"):
        return float(-(np.log(values) + 1 / values).sum())


def epe_nas(network: Network, sample: Sample) -> float:
    """Correlations of Jacobians within classes (EPE-NAS, Lopes et al. 2021).

    Per class c of the batch: s_c = sum ln(|correlations| + k), and the score is sum |s_c|. For more than 100 classes:
    s_c is a mean over images, the score the mean over classes c of sum_d |s_c - s_d|, and classes of one image are
    left out.
    """
    jacobian, targets = _jacobian(network, sample), sample.targets.cpu().numpy()
    many = sample.classes > 100
    sums = []
    for label in np.unique(targets):
        rows = jacobian[targets == label]
        if many and len(rows) == 1:
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            correlations = np.atleast_2d(np.corrcoef(rows))
        # numpy gives nan for one constant row; one image correlates with itself
        s = float(np.log(np.abs(correlations) + LEAST).sum()) if len(rows) > 1 else math.log(1 + LEAST)
        sums.append(s / len(rows) if many else s)
    found = np.array(sums)
    if many:
        return float(np.abs(found[:, None] - found[None]).sum() / max(len(found), 1))
    return float(np.abs(found).sum())


def nwot(network: Network, sample: Sample) -> float:
    """Ln |det K|, K the number of units that are on, or off, for both of two images (NASWOT, Mellor et al. 2021)."""
    images = len(sample.images)
    kernel = torch.zeros(images, images, dtype=torch.float64, device=sample.images.device)

    def count(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        on = (inputs[0] > 0).flatten(1).to(torch.float32 if inputs[0][0].numel() < EXACT else torch.float64)
        number = on.sum(1).double()
        # Both on, and both off: n - on_i - on_j + both on.
        kernel.add_(2 * (on @ on.T).double() - number[:, None] - number[None] + on.shape[1])

    for module in network.modules():
        if isinstance(module, ACTIVATIONS):
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        network(sample.images)
    return float(torch.linalg.slogdet(kernel).logabsdet)


def zen(network: Network, sample: Sample) -> float:
    """Ln mean |f(x) - f(x + 0.01 e)| of features, plus sum ln sqrt(mean variance) over batch norms (Lin et al. 2021).

    Weights are drawn from N(0, 1), and so are x and e, shaped like the images; features are what enters the head.
    """
    draw = sample.generator
    with torch.no_grad():
        for layer in weighted_layers(network):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=draw))
            if layer.bias is not None:
                layer.bias.zero_()
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_parameters()
        shape = sample.images.shape
        x = torch.randn(shape, generator=draw).to(sample.images.device)
        near = x + 0.01 * torch.randn(shape, generator=draw).to(sample.images.device)
        change = (_features(network, x) - _features(network, near)).abs().flatten(1).sum(1).mean()
        scales = sum(float(norm.running_var.mean().sqrt().log()) for norm in norms if norm.running_var is not None)
    return math.log(change) + scales if change > 0 else -math.inf


def _features(network: Network, x: Tensor) -> Tensor:
    """(B, C', H', W'): what enters the last layer."""
    entered: list[Any] = []
    hook = network.layer(network.spec.nodes[-1].site).register_forward_pre_hook(
        lambda _layer, inputs: entered.append(inputs[0])
    )
    network(x)
    hook.remove()
    found: Tensor = entered[0]
    return found
