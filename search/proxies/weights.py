"""Scores that need no image: how large a network is, and how large its weights are."""

from search.proxies.score import Sample, weighted_layers
from supernet import Network


def params(network: Network, _sample: Sample) -> float:
    """Learnable parameters."""
    return float(sum(parameter.numel() for parameter in network.parameters()))


def flops(network: Network, sample: Sample) -> float:
    """Multiply-accumulates of convolution and linear layers for one image."""
    _, channels, height, width = sample.images.shape
    return float(network.spec.macs((channels, height, width)))


def l2_norm(network: Network, _sample: Sample) -> float:
    """Sum over layers of ||W||_2, of fresh weights."""
    return float(sum(layer.weight.detach().norm() for layer in weighted_layers(network)))
