"""Blocks for torch's own layers: shapes and counts against the layers that they build, and data both ways."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from supernet.blocks import Block
from supernet.spec import merged_shape
from supernet.torch_blocks import Activate, Drop, Flat, Layers, Linear, MeanTo, Norm, PlainConv, Window

BLOCKS: list[Block] = [
    *(
        PlainConv(channels, kernel, stride, padding, dilation, groups, width, bias)
        for channels, groups, width, bias in (
            (12, 1, 1, True), (12, 2, 1, False), (None, 1, 1, False), (None, 1, 4, True),
        )
        for kernel, stride, padding, dilation in (
            ((3, 3), (1, 1), (1, 1), (1, 1)), ((1, 5), (2, 1), (0, 3), (1, 1)), ((2, 3), (3, 2), (0, 0), (2, 3)),
        )
    ),
    *(
        Window(kind, kernel, stride, padding, ceil, kind == "max" or ceil)
        for kind, ceil in product(("max", "mean"), (False, True))
        for kernel, stride, padding in (((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((3, 2), (3, 5), (0, 1)))
    ),
    MeanTo(), MeanTo((3, 2)), Flat((3, 3)), Flat((11, 9)), Norm(1e-3, 0.2), Norm(affine=False), Drop(0.3),
    Activate("leaky_relu", 0.3), Activate("silu"), Layers((PlainConv(6), Norm(), Activate())),
    Layers((Norm(), Activate())),
]  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_shapes_and_counts_are_those_of_the_layer(block: Block) -> None:
    for shape in ((8, 11, 9), (8, 12, 10), (8, 7, 13)):
        layer = block.build(8).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            y = layer(torch.randn(2, *shape))
        assert (*y.shape[1:], 1, 1)[:3] == block.output_shape(shape)
        assert counter.get_total_flops() == 4 * block.macs(shape)
        assert sum(p.numel() for p in layer.parameters()) == block.params(shape)
    again = Block.from_dict(json.loads(json.dumps(block.to_dict())))
    assert again == block
    assert hash(again) == hash(block)


def test_a_linear_layer_reads_features_in_either_form() -> None:
    block = Layers((Linear(5), Activate()))
    layer, x = block.build(7), torch.randn(2, 7)
    assert torch.equal(layer(x), layer(x[:, :, None, None]))
    assert (block.macs((7, 1, 1)), block.params((7, 1, 1))) == (35, 40)
    assert Block.from_dict(json.loads(json.dumps(block.to_dict()))) == block


def test_one_pixel_becomes_a_map() -> None:
    x = torch.randn(2, 8, 1, 1)
    assert torch.equal(MeanTo((3, 2)).build(8)(x), nn.AdaptiveAvgPool2d((3, 2))(x))


@pytest.mark.parametrize(
    "data",
    [
        {"block": "PlainConv", "kernel": 3},
        {"block": "PlainConv", "kernel": [3, 0]},
        {"block": "PlainConv", "padding": [1, -1]},
        {"block": "PlainConv", "stride": [1, 1, 1]},
        {"block": "Window", "kind": "median"},
        {"block": "Activate", "kind": "softmax"},
        {"block": "Layers"},
        {"block": "Layers", "layers": [{"block": "Norm"}, {"block": "Norm"}]},
        {"block": "Layers", "layers": [{"block": "Layers", "layers": [{"block": "Norm"}]}]},
        {"block": "Layers", "layers": [[]]},
        {"block": "Layers", "layers": 3},
    ],
    ids=str,
)
def test_what_is_no_block_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Block.from_dict(data)


def test_groups_must_come_out() -> None:
    with pytest.raises(ValueError, match="do not fall into"):
        PlainConv(None, group_width=4).params((6, 1, 1))


def test_products_are_broadcast() -> None:
    assert merged_shape([(8, 1, 1), (8, 5, 4)], "product") == (8, 5, 4)
    assert merged_shape([(1, 5, 4), (8, 5, 4)], "product") == (8, 5, 4)
    with pytest.raises(ValueError, match="cannot multiply"):
        merged_shape([(8, 5, 4), (6, 5, 4)], "product")
