"""Channel sorting: the widest network stays what it is, and narrower ones keep the channels that weigh most."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from supernet import SearchSpace, Supernet, build_space
from supernet.channel_order import sort_channels
from supernet.testing import difference
from supernet.testing.weights import randomised

SPACES = {
    "ofa_mbv3": {"widths": (8, 8, 8, 16, 16, 16, 24, 32, 40), "depths": (2, 1, 1, 1, 1)},
    "ofa_resnet50": {"widths": (32, 64, 64, 96, 128), "depths": (2, 1, 1, 1)},
    "single_path": {"widths": (8, 8, 8, 16, 16, 24, 24, 32, 40), "depths": (2, 1, 1, 1, 1, 1)},
}


def built(name: str) -> tuple[SearchSpace, Supernet]:
    torch.manual_seed(3)
    space = build_space(name, resolution=16, num_classes=10, **SPACES[name])
    return space, randomised(Supernet(space)).double().eval()


@pytest.mark.parametrize("name", SPACES)
def test_the_largest_network_stays_the_same(name: str) -> None:
    space, supernet = built(name)
    largest = tuple(size - 1 for size in space.sizes)
    if name == "single_path":
        largest = tuple(decision.options.index("k5e6") for decision in space.decisions)
    smallest = tuple(0 for _ in space.sizes)
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        before, narrow = supernet(x, largest), supernet(x, smallest)
        assert sort_channels(supernet) == sum(site.name.startswith("stage") for site in space.sites)
        assert difference(supernet(x, largest), before) <= 1e-12
        assert difference(supernet(x, smallest), narrow) > 1e-3


def test_narrower_layers_keep_what_weighs_most() -> None:
    _, supernet = built("ofa_mbv3")
    layer = supernet.weights_at("stage2/0").layers[0]
    weights = layer.project.conv.weight.abs().sum((0, 2, 3)).sort(descending=True).values
    rows = {tuple(row.flatten().tolist()) for row in layer.expand.conv.weight[layer_order(layer)[:24]]}
    sort_channels(supernet)
    assert torch.allclose(layer.project.conv.weight.abs().sum((0, 2, 3)), weights)
    assert {tuple(row.flatten().tolist()) for row in layer.expand.conv.weight[:24]} == rows
    squeeze = layer.se.expand.weight.abs().sum((0, 2, 3))
    assert torch.equal(squeeze, squeeze.sort(descending=True).values)


def layer_order(layer: Any) -> torch.Tensor:
    return layer.project.conv.weight.abs().sum((0, 2, 3)).argsort(descending=True)


def test_channels_beyond_a_width_that_is_settled_stay_beyond_it() -> None:
    """Expansions 3, 4, 6 of 8 channels: 24, 32, 48. With one settled, 32 to 48 stay there."""
    _, supernet = built("ofa_mbv3")
    layer = supernet.weights_at("stage2/0").layers[0]
    before = {round(row.sum().item(), 9) for row in layer.expand.conv.weight[:32]}
    sort_channels(supernet, settled=1)
    assert {round(row.sum().item(), 9) for row in layer.expand.conv.weight[:32]} == before
    importance = layer.project.conv.weight.abs().sum((0, 2, 3))
    for part in (importance[:32], importance[32:]):
        assert torch.equal(part, part.sort(descending=True).values)
