"""Blocks: counts against the built layer, shapes, JSON, and what they refuse."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from supernet.blocks import (
    BatchNormAct,
    Block,
    Conv,
    GlobalPool,
    Head,
    Identity,
    Pool,
    SqueezeExcite,
    Zero,
    make_divisible,
)
from supernet.composites import Ghost, InvertedResidual, Separable, ShuffleBlock
from supernet.landmark_blocks import DilatedResidual, LearnedPool, SpatialExcite, StridedPool
from supernet.layers import Residual, ShuffleUnit

kernels = st.sampled_from([1, 3, 5, 7])
strides = st.sampled_from([1, 2])
acts = st.sampled_from(["relu", "relu6", "hswish"])
evens = st.integers(1, 8).map(lambda n: 2 * n)
BLOCKS = st.one_of(
    st.builds(Identity),
    st.builds(
        Conv, evens, kernels, strides, st.sampled_from([1, 2]), st.sampled_from([1, 2]), acts, st.booleans(),
        st.booleans(), st.booleans(), st.booleans(),
    ),
    st.builds(GlobalPool),
    st.builds(Conv, st.none(), kernels, strides, act=acts | st.just("")),
    st.builds(SqueezeExcite, st.sampled_from([2, 4])),
    st.builds(BatchNormAct, acts),
    st.builds(Pool, st.sampled_from(["avg", "max", "mean2x2", "max2x2"]), strides),
    st.builds(Zero, strides),
    st.builds(Head, st.integers(1, 9), st.booleans(), st.sampled_from([0.0, 0.2])),
    st.builds(
        InvertedResidual, evens, kernels, st.sampled_from([1, 2, 2.3, 6]), strides, acts, st.booleans(),
        st.sampled_from([1, 2]), st.booleans(), st.booleans(),
    ),
    st.builds(ShuffleBlock, st.sampled_from([12, 16, 20]), kernels, strides),
    st.builds(ShuffleBlock, st.sampled_from([12, 16, 20]), stride=strides, xception=st.just(True)),
    st.builds(LearnedPool, st.integers(1, 5)),
    st.builds(StridedPool, st.sampled_from([2, 4, 8])),
    st.builds(SpatialExcite, st.integers(1, 5)),
    st.builds(
        DilatedResidual, evens, kernels, st.integers(1, 4), strides, st.integers(1, 3), st.none() | st.integers(1, 5),
        st.booleans(),
    ),
    st.builds(Separable, evens, kernels, strides),
    st.builds(Ghost, evens, kernels, strides),
)  # fmt: skip


@given(block=BLOCKS, channels=evens.filter(lambda n: n < 12), height=st.integers(1, 9), width=st.integers(1, 9))
@settings(max_examples=150)
def test_counts_and_shapes_are_those_of_the_layer(block, channels, height, width):
    shape = channels, height, width
    layer = block.build(channels).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = layer(torch.randn(2, *shape))
    expected = block.output_shape(shape)
    assert output.shape[1:] == (expected if output.dim() == 4 else expected[:1])
    assert counter.get_total_flops() == 2 * 2 * block.macs(shape)
    assert sum(p.numel() for p in layer.parameters()) == block.params(shape)
    assert isinstance(block.label, str)
    assert block.label


@given(block=BLOCKS)
def test_blocks_are_data(block):
    again = Block.from_dict(json.loads(json.dumps(block.to_dict())))
    assert again == block
    assert hash(again) == hash(block)
    assert type(again) is type(block)


def test_fields_at_their_default_are_left_out():
    assert Head().to_dict() == {"block": "Head"}
    assert InvertedResidual(16, 3, 6, act="relu").to_dict() == {
        "block": "InvertedResidual",
        "out_channels": 16,
        "act": "relu",
    }
    assert Conv(None, 1, 2).to_dict() == {"block": "Conv", "stride": 2}
    assert Block.from_dict({"block": "LearnedPool", "size": 7}) == LearnedPool(7)


@pytest.mark.parametrize(
    ("block", "names"),
    [
        (InvertedResidual(8), "expand depthwise project"),
        (InvertedResidual(8, expand=1), "depthwise project"),
        (InvertedResidual(8, groups=2, se=True), "expand shuffle depthwise se project"),
        (DilatedResidual(8, excite=4), "expand depthwise excite project"),
        (Separable(8), "depthwise pointwise"),
        (Ghost(8), "primary cheap"),
        (ShuffleBlock(16), "main"),
        (ShuffleBlock(32, stride=2), "main projection"),
        (Conv(8), "conv norm act"),
        (Conv(8, pre_activation=True), "act conv norm"),
        (Head(3), "pool flatten linear"),
        (Head(3, dropout=0.5), "pool flatten dropout linear"),
    ],
)
def test_parts_of_a_layer_have_names(block, names):
    assert [name for name, part in block.build(16).named_children() if part is not None] == names.split()


@given(channels=evens, height=st.integers(2, 9))
def test_an_identity_changes_nothing(channels, height):
    x = torch.randn(1, channels, height, height)
    assert torch.equal(Identity().build(channels)(x), x)
    assert not Zero(2).build(channels)(x).any()


@pytest.mark.parametrize("block", [Conv(4, act="relu", pre_activation=True), BatchNormAct(), InvertedResidual(4)])
def test_the_input_is_left_alone(block):
    """Other edges of a cell read it as well."""
    x = torch.randn(2, 4, 5, 5)
    before = x.clone()
    block.build(4)(x)
    assert torch.equal(x, before)


def test_average_pooling_does_not_average_the_padding():
    x = torch.ones(1, 2, 5, 5)
    for stride in (1, 2):
        assert torch.equal(Pool("avg", stride).build(2)(x), torch.ones(1, 2, -(-5 // stride), -(-5 // stride)))


def test_residuals_are_where_shapes_are_kept():
    assert isinstance(InvertedResidual(8).build(8), Residual)
    for other in (InvertedResidual(8, stride=2), InvertedResidual(16), InvertedResidual(8, residual=False)):
        assert not isinstance(other.build(8), Residual)
    x = torch.randn(2, 8, 4, 4)
    layer = InvertedResidual(8).build(8).eval()
    plain = torch.nn.Sequential(*layer.children())
    assert torch.allclose(layer(x), x + plain(x))


def test_an_expansion_of_one_keeps_its_convolution_only_in_fbnet():
    assert len(InvertedResidual(8, expand=1).parts(8)) == 2
    assert len(InvertedResidual(8, expand=1, always_expand=True).parts(8)) == 3


def test_the_shuffle_unit_splits_even_and_odd_channels():
    """SPOS's official channel_shuffle: x.reshape(B * C // 2, 2, H * W).permute(1, 0, 2), even first."""
    x = torch.arange(8.0).view(1, 8, 1, 1)
    unit = ShuffleUnit(torch.nn.Identity(), None)
    batch, channels, height, width = x.shape
    official = x.reshape(batch * channels // 2, 2, height * width).permute(1, 0, 2)
    official = official.reshape(2, -1, channels // 2, height, width)
    assert torch.equal(unit(x), torch.cat((official[0], official[1]), 1))
    assert unit(x).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_half_of_the_channels_pass_a_shuffle_block():
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(ShuffleBlock(8).build(8).eval()(x)[:, :4], x[:, ::2])


def test_grouped_convolutions_mix_their_groups():
    """FBNet's group-2 candidates: without the shuffle, half of the output would never see half of the input."""
    layer = InvertedResidual(8, 3, 1, groups=2, always_expand=True, residual=False).build(8).eval()
    x = torch.randn(1, 8, 4, 4, requires_grad=True)
    layer(x)[:, :4].sum().backward()
    assert (x.grad.abs().sum((0, 2, 3)) > 0).sum() >= 7


@pytest.mark.parametrize(
    ("value", "expected"), [(8, 8), (12, 16), (11, 16), (44, 48), (3, 8), (32.4, 32), (18, 24), (67, 64), (72, 72)]
)
def test_make_divisible_is_mobilenet_s(value, expected):
    assert make_divisible(value) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"block": "Convolution"}, "unknown block 'Convolution'"),
        ({"block": ["Conv"]}, "unknown block"),
        ({}, "unknown block None"),
        ([], "a block is a table"),
        ({"block": "Conv", "size": 3}, "size"),
        ({"block": "Conv", "out_channels": 8, "kernel": 4}, "kernel 4: only odd"),
        ({"block": "Conv", "out_channels": "8"}, "out_channels must be a whole number"),
        ({"block": "Conv", "out_channels": 8, "stride": 0}, "stride must be"),
        ({"block": "Conv", "out_channels": 8, "bn": 1}, "bn must be true or false"),
        ({"block": "Conv", "out_channels": 8, "act": "gelu"}, "unknown activation 'gelu'"),
        ({"block": "Head", "classes": 10, "dropout": 1.0}, "dropout must be a number"),
        ({"block": "Head", "classes": True}, "classes must be"),
        ({"block": "InvertedResidual"}, "out_channels"),
        ({"block": "Pool", "kind": "median"}, "unknown pooling 'median'"),
        ({"block": "ShuffleBlock", "out_channels": 8, "kernel": 5, "xception": True}, "3x3"),
    ],
)
def test_what_is_no_block_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        Block.from_dict(data)


def test_channels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fall into 2 groups"):
        Conv(8, groups=2).params((7, 1, 1))
    with pytest.raises(ValueError, match="odd number"):
        ShuffleBlock(7).params((7, 1, 1))
    with pytest.raises(ValueError, match="cannot follow"):
        ShuffleBlock(8, stride=2).params((8, 1, 1))


def test_a_block_is_checked_whether_or_not_its_module_postpones_annotations() -> None:
    """What is annotated with a type is checked as what is annotated with its name."""
    named = dataclasses.make_dataclass(
        "Named", [("size", "int", dataclasses.field(default=1))], bases=(Block,), frozen=True
    )
    typed = dataclasses.make_dataclass(
        "Typed", [("size", int, dataclasses.field(default=1))], bases=(Block,), frozen=True
    )
    for kind in (named, typed):
        Block.kinds.pop(kind.__name__)
        assert kind(size=2).size == 2
        with pytest.raises(ValueError, match="size must be a whole number of at least 1, not 0"):
            kind(size=0)


def test_two_blocks_of_one_name_are_refused() -> None:
    """A network as data would be read as the other one."""
    with pytest.raises(ValueError, match=r"^supernet\.blocks has a block called Conv already: take another name$"):
        type("Conv", (Block,), {})
    assert Block.kinds["Conv"] is Conv
