"""Batch-norm statistics of one network from training images, pooled exactly.

A supernet's running statistics are mixed over paths, so a subnet is judged only after its own were measured (SPOS,
Guo et al. 2020). Averaging the variances of batches, as momentum or cumulative averages do, leaves out how far their
means are apart; here moments are merged as Chan et al. (1983) do, so that the result is the mean and the variance over
all images.
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.pinned import to_device


class _Moments:
    """Mean and sum of squared deviations of the channels of all layers, side by side."""

    def __init__(self, layers: list[_BatchNorm]) -> None:
        self.sizes = [layer.num_features for layer in layers]
        self.count = torch.zeros(())
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def merge(self, layers: list[_BatchNorm], counts: list[int]) -> None:
        """Merge the statistics that one batch left in `layers`; `counts`: values per channel, per layer."""
        mean = torch.cat([layer.running_mean for layer in layers]).double()  # type: ignore[misc]
        unbiased = torch.cat([layer.running_var for layer in layers]).double()  # type: ignore[misc]
        count = to_device(torch.tensor(counts).double().repeat_interleave(torch.tensor(self.sizes)), mean.device)
        total = self.count + count
        delta = mean - self.mean
        self.squares = self.squares + unbiased * (count - 1) + delta.square() * (total - count) * count / total
        self.mean = self.mean + delta * count / total
        self.count = total

    def store(self, layers: list[_BatchNorm]) -> None:
        variance = self.squares / (self.count - 1)  # torch keeps the unbiased estimate
        for layer, mean, var in zip(layers, self.mean.split(self.sizes), variance.split(self.sizes), strict=True):
            layer.running_mean.copy_(mean)  # type: ignore[union-attr]
            layer.running_var.copy_(var)  # type: ignore[union-attr]


@torch.no_grad()
def calibrate_batch_norm(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of every batch norm in `network` by those of `batches`; leaves it in eval mode.

    Args:
        network: called with one batch (B, C, H, W) at a time. Layers see activations normalised by their batch, as in
            training; a batch of everything is therefore the exact reference, and large batches come near it.
        batches: images without augmentation. Their sizes may differ, but none may be a single image.

    Raises:
        ValueError: no batches, or a batch of one image whose activations have one value per channel.
    """
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    momenta = [layer.momentum for layer in layers]
    counts: dict[_BatchNorm, int] = {}

    def note_count(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        counts[layer] = inputs[0].numel() // inputs[0].shape[1]

    hooks = [layer.register_forward_pre_hook(note_count) for layer in layers]
    network.eval()
    for layer in layers:
        layer.reset_running_stats()  # a stale NaN would survive even a momentum of 1
        layer.momentum = 1.0  # the buffers then hold the moments of the latest batch: no second pass over activations
        layer.train()  # dropout stays off
    moments = _Moments(layers)
    batch = None
    try:
        for batch in batches:
            network(batch)
            if layers:
                moments.merge(layers, [counts[layer] for layer in layers])
    finally:
        for hook in hooks:
            hook.remove()
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
    if batch is None:
        raise ValueError("no images to calibrate the batch norms on")
    if layers:
        moments.store(layers)
