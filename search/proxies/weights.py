"""Scores that need no image: how large a network is, and how large its weights are."""

from search.proxies.score import Sample, weighted_layers
from supernet import Network, Shape
from supernet.liveness import live_total
from supernet.metrics import FLOPS, PARAMS


def params(network: Network, _sample: Sample) -> float:
    """Learnable parameters."""
    return float(sum(parameter.numel() for parameter in network.parameters()))


def flops(network: Network, sample: Sample) -> float:
    """Multiply-accumulates of convolution and linear layers for one image."""
    return float(network.spec.macs(_image(sample)))


def live_params(network: Network, sample: Sample) -> float:
    """Learnable parameters of the blocks on a path from the image to the output."""
    return live_total(network.spec, PARAMS.of, _image(sample))


def live_flops(network: Network, sample: Sample) -> float:
    """Multiply-accumulates of the blocks on a path from the image to the output, for one image."""
    return live_total(network.spec, FLOPS.of, _image(sample))


def l2_norm(network: Network, _sample: Sample) -> float:
    """Sum over layers of ||W||_2, of fresh weights."""
    return float(sum(layer.weight.detach().norm() for layer in weighted_layers(network)))


def _image(sample: Sample) -> Shape:
    _, channels, height, width = sample.images.shape
    return channels, height, width
