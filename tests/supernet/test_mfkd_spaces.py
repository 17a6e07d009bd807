"""The spaces of MFKD: Vega's SimpleCnn, counted and computed by plain torch, and MobileNetV2 at 32 pixels."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from supernet import Architecture, Network, SearchSpace, build_space
from supernet.spaces.simple_cnn import build_simple_cnn
from supernet.testing import SpaceSuite
from supernet.torchvision_compat import torchvision


class TestSimpleCnn(SpaceSuite):
    mixes = False  # options of different widths cannot be added

    @staticmethod
    def make() -> SearchSpace:
        return build_space("simple_cnn", resolution=16, num_classes=10)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return build_simple_cnn(8, 4, 3, layers=1, filters=(4, 8), kernels=(1, 3), units=(4, 6))


def reference(space: SearchSpace, architecture: Architecture, classes: int = 10) -> nn.Sequential:
    """The network as Vega's description reads, with its flattening and linear layers, at 32 x 32 pixels."""
    named = dict(zip((d.name for d in space.decisions), space.names(architecture), strict=True))
    layers: list[nn.Module] = []
    channels = 3
    for number in range(3):
        bn, filters, kernel, relu = (named[f"conv{number}/{what}"] for what in ("bn", "filters", "kernel", "relu"))
        layers.append(nn.Conv2d(channels, int(filters), int(kernel), padding=(int(kernel) - 1) // 2))
        channels = int(filters)
        layers += [nn.BatchNorm2d(channels)] * (bn == "yes") + [nn.ReLU()] * (relu == "yes") + [nn.MaxPool2d(2, 2)]
    units = int(named["hidden/units"])
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(channels * 16, units), nn.ReLU(), nn.Linear(units, classes)
    ).eval()


@pytest.mark.parametrize("seed", range(5))
def test_it_is_vega_s_network(seed: int) -> None:
    space = build_space("simple_cnn", num_classes=10)
    architecture = space.sample(random.Random(seed))
    expected, network = reference(space, architecture), Network(space.decode(architecture)).eval()
    assert space.decode(architecture).params(space.input_shape) == sum(p.numel() for p in expected.parameters())
    tensors = list(expected.state_dict().values())
    ours = network.state_dict()
    network.load_state_dict({name: t.view(ours[name].shape) for name, t in zip(ours, tensors, strict=True)})
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        assert torch.allclose(network(x), expected(x), atol=1e-5)


def test_there_are_as_many_as_published() -> None:
    space = build_space("simple_cnn", num_classes=10)
    assert space.size == space.num_canonical == 36**3 * 5 == 233_280
    assert len(space.decisions) == 13
    assert space.input_shape == (3, 32, 32)


def test_mobilenetv2_at_32_pixels_is_the_form_for_cifar() -> None:
    """MFKD's teacher: the published widths and depths, strides 1, 2, 2, 2, 1, 2, 1 behind a stem of stride 1."""
    space = build_space("mobilenetv2", resolution=32, num_classes=100)
    assert space.size == 4**7 * 2**7 == 2_097_152
    table = [(16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1)]
    spec = space.decode(space.parse([str(number) for stage in table for number in stage]))
    expected = torchvision.models.mobilenet_v2(num_classes=100).eval()
    expected.features[0][0].stride = (1, 1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        expected(torch.zeros(1, 3, 32, 32))
    assert 2 * spec.macs(space.input_shape) == counter.get_total_flops()
    assert spec.params(space.input_shape) == sum(p.numel() for p in expected.parameters())
    sides = [spec.shapes(space.input_shape)[f"stage{stage}/0"][1][1] for stage in range(1, 8)]
    assert sides == [32, 16, 8, 4, 4, 2, 2]
