"""AZ-NAS (Lee and Ham 2024): how features spread, how that grows, and how gradients pass, cell by cell.

Weights are drawn by He's rule over the fan-in and images from N(0, 1). A cell ends where every path of the network
goes through: at each layer of a chain, at the last node of a cell. The fourth part is the number of
multiply-accumulates; the four are joined by sum ln(rank / N) over the networks that are compared.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from search.proxies.score import Sample, weighted_layers
from supernet import NetSpec, Network

LEAST = 1e-8
FLAT = 1e-6


def az_expressivity(network: Network, sample: Sample) -> float:
    """Sum over cells of the entropy of the eigenvalues of the covariance between channels, as shares of their sum."""
    return float(sum(map(_entropy, _features(network, sample, sample.generator))))


def az_progressivity(network: Network, sample: Sample) -> float:
    """The least growth of that entropy from one cell to the next."""
    entropies = torch.tensor([_entropy(features) for features in _features(network, sample, sample.generator)])
    return float(entropies.diff().min()) if len(entropies) > 1 else 0.0


def az_trainability(network: Network, sample: Sample) -> float:
    """Mean over cells of 2 - s - 1 / s, with s the largest singular value of a cell's mean Jacobian: best at s = 1.

    The Jacobian is estimated from one vector of random signs: E[J^T v v^T] = J^T.
    """
    draw = sample.generator
    features = _features(network, sample, draw)
    scores = []
    for entering, leaving in reversed(list(pairwise(features))):
        signs = torch.randint(0, 2, leaving.shape, generator=draw).to(leaving) * 2 - 1
        (back,) = torch.autograd.grad(leaving, entering, signs, retain_graph=True)
        if back.shape == signs.shape and torch.equal(back, signs):
            return -torch.inf  # a cell that does nothing
        stride = back.shape[2] // leaving.shape[2]
        if stride > 1:  # the places that one place sees become channels
            height, width = (stride * side for side in leaving.shape[2:])
            back = nn.functional.pixel_unshuffle(back[:, :, :height, :width], stride)
        jacobian = _rows(back).T @ _rows(signs) / len(_rows(signs))
        greatest = float(torch.linalg.matrix_norm(jacobian, 2))
        scores.append(2 - greatest - 1 / (greatest + FLAT))
    return float(sum(scores) / len(scores)) if scores else 0.0


def cell_ends(spec: NetSpec) -> list[str]:
    """The sites that every path from the image to the output goes through, the head left out."""
    position = {node.site: number for number, node in enumerate(spec.nodes)}
    ends = []
    earliest = len(spec.nodes)  # the first position that anything further on reads
    for number, node in reversed(list(enumerate(spec.nodes))):
        if number == earliest:
            ends.append(node.site)
        earliest = min(earliest, *(position.get(name, -1) for name in node.inputs))
    return ends[::-1]


def _features(network: Network, sample: Sample, draw: torch.Generator) -> list[Tensor]:
    """(B, C, H, W) at the end of each cell, of a network with fresh weights."""
    with torch.no_grad():
        for layer in weighted_layers(network):
            deviation = (2 / layer.weight[0].numel()) ** 0.5
            layer.weight.copy_(deviation * torch.randn(layer.weight.shape, generator=draw))
            if layer.bias is not None:
                layer.bias.zero_()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
    taps: dict[str, Tensor | None] = dict.fromkeys(cell_ends(network.spec))
    network(torch.randn(sample.images.shape, generator=draw).to(sample.images), taps)
    return [value for value in taps.values() if value is not None and value.dim() == 4]


def _rows(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B H W, C)."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def _entropy(features: Tensor) -> float:
    rows = _rows(features.detach())
    centred = rows - rows.mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred / len(rows)).clamp(min=0)
    shares = values / values.sum()
    return float(-(shares * (shares + LEAST).log()).sum())
