"""Scores by gradients of the loss, or of a flow, with respect to the weights (Abdelfattah et al. 2021 compare them)."""

import math
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from search.proxies.score import Sample, weighted_layers
from supernet import Network

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU)


def _weights(network: nn.Module) -> list[Tensor]:
    return [layer.weight for layer in weighted_layers(network)]


def _pairs(network: Network, sample: Sample) -> Iterator[tuple[Tensor, Tensor]]:
    """W and dL/dW per layer."""
    yield from zip((w.detach() for w in _weights(network)), _gradients(network, sample), strict=True)


def _gradients(network: Network, sample: Sample, *, graph: bool = False) -> list[Tensor]:
    """dL/dW per layer; zeros where the loss does not depend on it."""
    weights = _weights(network)
    loss = sample.loss(network(sample.images), sample.targets)
    found = torch.autograd.grad(loss, weights, create_graph=graph, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


def grad_norm(network: Network, sample: Sample) -> float:
    """Sum over layers of ||dL/dW||_2."""
    return float(sum(gradient.norm() for gradient in _gradients(network, sample)))


def plain(network: Network, sample: Sample) -> float:
    """Sum of W dL/dW, signed."""
    return float(sum((weight * gradient).sum() for weight, gradient in _pairs(network, sample)))


def snip(network: Network, sample: Sample) -> float:
    """Sum of |dL/dm| for a mask m = 1 over the weights, which is |W dL/dW| (Lee et al. 2019)."""
    return float(sum((weight * gradient).abs().sum() for weight, gradient in _pairs(network, sample)))


def grasp(network: Network, sample: Sample) -> float:
    """Sum of -W (H g), the Hessian H times the gradient g of the loss (Wang et al. 2020)."""
    weights = _weights(network)
    gradients = _gradients(network, sample, graph=True)
    # H g is the gradient of g . stop(g).
    product = sum((gradient * gradient.detach()).sum() for gradient in gradients)
    assert isinstance(product, Tensor)
    if not product.requires_grad:  # no weight reaches the loss twice
        return 0.0
    found = torch.autograd.grad(product, weights, allow_unused=True)
    return float(sum(-(w.detach() * hg).sum() for w, hg in zip(weights, found, strict=True) if hg is not None))


def fisher(network: Network, sample: Sample) -> float:
    """Sum over channels of 1/2 mean_n (sum over places of a dL/da)^2, weighted by the fan-in (Turner et al. 2020).

    a is what a convolution or linear layer gives. Every weight of a filter has the value of its channel, as in the
    implementation of Abdelfattah et al.
    """
    given: list[tuple[int, Tensor]] = []

    def keep(layer: Any, _inputs: object, output: Tensor) -> Tensor:
        given.append((layer.weight[0].numel(), output))
        return output.clone()  # what follows may work in place

    hooks = [layer.register_forward_hook(keep) for layer in weighted_layers(network)]
    loss = sample.loss(network(sample.images), sample.targets)
    for hook in hooks:
        hook.remove()
    found = torch.autograd.grad(loss, [output for _, output in given], allow_unused=True)
    total = 0.0
    for (fan_in, output), gradient in zip(given, found, strict=True):
        if gradient is not None:
            saliency = (output.detach() * gradient).view(*output.shape[:2], -1).sum(2)  # (B, channels)
            total += float(0.5 * saliency.square().mean(0).sum()) * fan_in
    return total


def synflow(network: Network, sample: Sample) -> float:
    """The logarithm of sum |W dR/dW|, with R the sum of the outputs for an image of ones (Tanaka et al. 2020).

    Weights are replaced by their absolute values; batch norms and activations are left out, as an activation without a
    bound is the identity where everything is positive, and that of ReLU6 would end the flow. In double precision, as
    it is a product over many layers; without a way through it is the logarithm of the least positive number.
    """
    linear = _without(network.double(), (nn.BatchNorm2d, *ACTIVATIONS))
    with torch.no_grad():
        for tensor in (*linear.parameters(), *linear.buffers()):
            tensor.abs_()
    weights = _weights(linear)
    ones = torch.ones(1, *sample.images.shape[1:], dtype=torch.float64, device=sample.images.device)
    flow = linear(ones).sum()
    if not flow.requires_grad:
        return math.log(sys.float_info.min)
    found = torch.autograd.grad(flow, weights, allow_unused=True)
    total = sum(float((w.detach() * g).abs().sum()) for w, g in zip(weights, found, strict=True) if g is not None)
    return math.log(max(total, sys.float_info.min))


def zico(network: Network, sample: Sample) -> float:
    """Sum over layers of ln sum (mean |g| / std g) over two halves of the batch (ZiCo, Li et al. 2023)."""
    half = len(sample.images) // 2
    halves = [
        _gradients(network, sample._replace(images=sample.images[rows], targets=sample.targets[rows]))
        for rows in (slice(0, half), slice(half, 2 * half))
    ]
    total = 0.0
    for gradients in zip(*halves, strict=True):
        stacked = torch.stack(gradients).double()
        if not torch.isfinite(stacked).all():
            return math.nan
        deviation = stacked.std(0, correction=0)
        moves = deviation > 0
        ratio = float((stacked.abs().mean(0)[moves] / deviation[moves]).sum())
        total += math.log(ratio) if ratio > 0 else 0.0
    return total


def _without(network: Network, kinds: tuple[type[nn.Module], ...]) -> Network:
    """The network with layers of these kinds replaced by identities, in place."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, kinds):
                setattr(parent, name, nn.Identity())
    return network
