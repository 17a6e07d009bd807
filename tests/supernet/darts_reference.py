"""DARTS's network for training, written from the paper with plain torch modules: nothing of the code under test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def conv(a: int, b: int, kernel: Any = 1, **rest: Any) -> nn.Module:
    return nn.Conv2d(a, b, kernel, bias=False, **rest)


class Halved(nn.Module):
    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.first, self.second, self.norm = conv(a, b // 2, stride=2), conv(a, b // 2, stride=2), nn.BatchNorm2d(b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(x)
        return self.norm(torch.cat([self.first(x), self.second(x[:, :, 1:, 1:])], 1))


def operation(name: str, c: int, stride: int) -> nn.Module:
    if name == "skip_connect":
        return Halved(c, c) if stride == 2 else nn.Identity()
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    if name == "conv_7x1_1x7":
        row = conv(c, c, (1, 7), stride=(1, stride), padding=(0, 3))
        return nn.Sequential(nn.ReLU(), row, conv(c, c, (7, 1), stride=(stride, 1), padding=(3, 0)), nn.BatchNorm2d(c))
    kind, _, size = name.split("_")
    kernel, layers = int(size[0]), []
    dilation = 2 if kind == "dil" else 1
    for step in (stride,) if kind == "dil" else (stride, 1):
        pad = dilation * (kernel - 1) // 2
        depthwise = conv(c, c, kernel, stride=step, padding=pad, dilation=dilation, groups=c)
        layers += [nn.ReLU(), depthwise, conv(c, c), nn.BatchNorm2d(c)]
    return nn.Sequential(*layers)


class Cell(nn.Module):
    def __init__(self, genotype: Any, before: int, last: int, c: int, reduces: bool, reduced: bool) -> None:
        super().__init__()
        enter = [nn.ReLU(), conv(before, c), nn.BatchNorm2d(c)]
        self.pre0 = Halved(before, c) if reduced else nn.Sequential(*enter)
        self.pre1 = nn.Sequential(nn.ReLU(), conv(last, c), nn.BatchNorm2d(c))
        self.pairs = genotype.reduce if reduces else genotype.normal
        self.concat = genotype.reduce_concat if reduces else genotype.normal_concat
        self.ops = nn.ModuleList(operation(n, c, 2 if reduces and s < 2 else 1) for n, s in self.pairs)

    def forward(self, s0: torch.Tensor, s1: torch.Tensor) -> torch.Tensor:
        states = [self.pre0(s0), self.pre1(s1)]
        for node in range(len(self.ops) // 2):
            edges = [self.ops[i](states[self.pairs[i][1]]) for i in (2 * node, 2 * node + 1)]
            states.append(edges[0] + edges[1])
        return torch.cat([states[i] for i in self.concat], 1)


class Reference(nn.Module):
    """The network of a genotype: of CIFAR's form, or of ImageNet's."""

    def __init__(self, genotype: Any, c: int, cells: int, classes: int, imagenet: bool = False) -> None:
        super().__init__()
        self.imagenet = imagenet
        before = last = c if imagenet else 3 * c
        self.stem0: nn.Module = nn.Sequential(conv(3, 3 * c, 3, padding=1), nn.BatchNorm2d(3 * c))
        if imagenet:
            half = [conv(3, c // 2, 3, stride=2, padding=1), nn.BatchNorm2d(c // 2), nn.ReLU()]
            self.stem0 = nn.Sequential(*half, conv(c // 2, c, 3, stride=2, padding=1), nn.BatchNorm2d(c))
            self.stem1 = nn.Sequential(nn.ReLU(), conv(c, c, 3, stride=2, padding=1), nn.BatchNorm2d(c))
        self.cells, reduced = nn.ModuleList(), imagenet
        for number in range(cells):
            reduces = number in (cells // 3, 2 * cells // 3)
            c *= 2 if reduces else 1
            self.cells.append(Cell(genotype, before, last, c, reduces, reduced))
            concat: Sequence[int] = self.cells[-1].concat
            before, last, reduced = last, c * len(concat), reduces
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s0 = s1 = self.stem0(x)
        if self.imagenet:
            s1 = self.stem1(s0)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        return self.classifier(s1.mean((2, 3)))
