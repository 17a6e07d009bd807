"""Image sizes that architectures decide: batches are loaded at the largest, and brought to the size of each path."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from supernet import Architecture, SearchSpace


def fit_images(x: Tensor, space: SearchSpace, architecture: Architecture) -> Tensor:
    """The images (B, C, H, W) at the size that the architecture decides, by antialiased bilinear interpolation.

    Where the size is no decision of the space they are as they were.
    """
    if space.images is None:
        return x
    return resized(x, space.image(architecture)[1:])


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The images (B, C, H, W) at a size (height, width), by antialiased bilinear interpolation."""
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", antialias=True)


class AtItsImageSize(nn.Module):
    """A network behind images that are brought to the size its architecture decides."""

    def __init__(self, network: nn.Module, space: SearchSpace, architecture: Architecture) -> None:
        super().__init__()
        self.network = network
        self.of = space, architecture

    def forward(self, x: Tensor, *more: Any) -> Tensor:
        outputs: Tensor = self.network(fit_images(x, *self.of), *more)
        return outputs
