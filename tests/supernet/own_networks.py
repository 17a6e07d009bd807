"""Networks of a user's own, in plain PyTorch: what can be traced, and what cannot."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.torchvision_compat import torchvision


class Residual(nn.Module):
    """Pre-activation, written with functions that work in place."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.one = nn.Conv2d(channels, inner, 1, bias=False)
        self.inner = nn.BatchNorm2d(inner)
        self.depthwise = nn.Conv2d(inner, inner, 5, padding="same", groups=inner)
        self.two = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(x), True)
        y = F.relu6(self.inner(self.one(y)))
        y = self.two(self.depthwise(y))
        y += x
        return y


class Gate(nn.Module):
    """Squeeze-excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.silu(self.down(x.mean([2, 3], keepdim=True)))))


class Mixed(nn.Module):
    """Sums, a concatenation, groups, a gate, a pooling that rounds up, and a linear layer that reads a whole map."""

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.blocks = nn.ModuleList([Residual(8, 16), Residual(8, 12)])
        self.left, self.right = nn.Conv2d(8, 8, (1, 3), padding=(0, 1)), nn.Conv2d(8, 4, 3, padding=1)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.mix = nn.Sequential(nn.Conv2d(12, 16, 1, bias=False), nn.BatchNorm2d(16, 1e-3), nn.ReLU(inplace=True))
        self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.gate = Gate(16)
        self.hidden = nn.Linear(16 * 9, 12)
        self.outputs = nn.Linear(12, num_classes)

    def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
        assert scale is None
        x = F.relu_(self.stem(x))
        for block in self.blocks:
            x = block(x)
        x = torch.cat((self.left(x), self.right(x)), 1)
        x = self.pool(self.mix(x))
        x = self.gate(F.hardswish(self.grouped(x)))
        x = F.adaptive_avg_pool2d(x, (3, 3))
        x = x.view(x.size(0), -1)
        return self.outputs(F.dropout(F.relu(self.hidden(x)), 0.2, self.training))


class Chain(nn.Module):
    """A stem, a stage of two blocks, a classifier."""

    def __init__(self, num_classes: int = 4, channels: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1), nn.ReLU())
        self.stage = nn.Sequential(Residual(channels, 8), Residual(channels, 8))
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(self.stage(self.stem(x)), 1), 1))


def narrow_vgg(num_classes: int) -> nn.Module:
    """torchvision's VGG-11-BN with an eighth of the channels: hidden layers have 4096 units in any."""
    layers = torchvision.models.vgg.make_layers([8, "M", 16, "M", 32, 32, "M", 64, 64, "M", 64, 64, "M"], True)
    with torch.device("meta"):
        network = torchvision.models.vgg.VGG(nn.Identity(), num_classes, init_weights=False)
    network.features = layers
    network.classifier[0], network.classifier[3] = nn.Linear(64 * 49, 64), nn.Linear(64, 32)
    network.classifier[6] = nn.Linear(32, num_classes)
    return network


# ---- what cannot be traced, or is not a network


class Plain(Chain):
    """The parts, for networks that differ in their forward pass."""

    def head(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))


class Deciding(Plain):
    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if x.mean() > 0:
            x = self.stage(x)
        return self.head(x)


class Counting(Plain):
    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(int(x.sum())):
            x = self.stage(x)
        return self.head(x)


class Rolled(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.roll(self.stem(x), 1, 2))


class Scaled(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x) * self.scale)


class Again(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stage(self.stage(self.stem(x))))


class Pair(Plain):
    def forward(self, x: Tensor) -> Any:
        return self.head(self.stem(x)), x


class Map(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.stem(x)


class TwoImages(Plain):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head(self.stem(x + y))


class Normed(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.stem(x)))


def of_three(num_classes: int) -> nn.Module:
    return Chain(3)


def no_network(num_classes: int) -> str:
    return "a network"


def needs_more(num_classes: int, size: int) -> nn.Module:
    return Chain(num_classes, size)


def failing() -> nn.Module:
    raise KeyError("nothing")
