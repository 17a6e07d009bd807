"""PFLD's space: NNI's table, its counts, pooling that is learnt, and the shared behaviour of spaces."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from config_file.errors import UserError
from supernet import SearchSpace, build_space
from supernet.composites import Ghost, Separable
from supernet.landmark_blocks import DilatedResidual, LearnedPool, SpatialExcite, StridedPool
from supernet.testing import SpaceSuite

# NNI's search space as it is published: ops, (C, H, W) that enters, output channels, stride, and the map eSE weighs.
STAGE_0 = "mb_k3_res mb_k3_e2_res mb_k3_res_d3 mb_k5_res mb_k5_e2_res sep_k3 sep_k5 gh_k3 gh_k5"
STAGE_1 = (
    "mb_k3_e2_res mb_k3_e4_res mb_k3_e2_res_se mb_k3_res_d3 mb_k5_res mb_k5_e2_res mb_k5_res_se mb_k5_e2_res_se gh_k5"
)
TABLE = [
    (STAGE_0, (32, 14, 14), 32, 1, 14),
    (STAGE_0, (32, 14, 14), 32, 1, 14),
    (STAGE_1, (32, 14, 14), 64, 2, 7),
    (STAGE_1, (64, 7, 7), 64, 1, 7),
    (STAGE_1, (64, 7, 7), 64, 1, 7),
]


class TestPFLD(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("pfld", resolution=32, num_classes=10, widths=(8, 8, 12, 16))

    @staticmethod
    def make_tiny() -> SearchSpace:
        return build_space("pfld", resolution=16, num_classes=4, widths=(4, 4, 6, 8), depths=(1, 2))


def test_it_is_the_published_table():
    space = build_space("pfld", num_classes=212)
    assert space.size == space.num_canonical == 9**5 == 59_049
    shapes = space.decode((0,) * 5).shapes(space.input_shape)
    chosen = [site for site in space.sites if site.given]
    for site, decision, (ops, entering, channels, stride, side) in zip(chosen, space.decisions, TABLE, strict=True):
        assert decision.options == tuple(ops.split()) == tuple(block.label for block in site.options)
        assert shapes[site.name] == (entering, (channels, entering[1] // stride, entering[2] // stride))
        for block in site.options:
            assert block.stride == stride
            if isinstance(block, DilatedResidual):
                assert block.excite == (side if "_se" in block.label else None)
                assert block.expand == (2 if block.dilation == 3 else block.expand)
    fused = shapes["fuse"]
    assert fused == ((112, 7, 7), (64, 7, 7))
    assert shapes["points"][1] == (212, 1, 1)
    assert [shapes[name][1] for name in ("stem", "stem/join", "widen")] == [(16, 56, 56), (16, 28, 28), (32, 14, 14)]


def counted_by_hand(name: str, cin: int, cout: int, stride: int, side: int) -> tuple[int, int]:
    """(MACs, parameters) from the names alone, with formulas of this test: every convolution but eSE's has a BN."""
    kind, *rest = name.split("_")
    kernel = int(rest[0][1:])
    entering, leaving = (side * stride) ** 2, side**2
    if kind == "sep":
        return (cin * kernel**2 + cin * cout) * leaving, cin * kernel**2 + cin * cout + 2 * (cin + cout)
    if kind == "gh":
        half = cout // 2
        weights = cin * half + half * kernel**2
        return weights * leaving, weights + 4 * half
    hidden = cin * (2 if "d3" in rest else int(next((part[1] for part in rest if part[0] == "e"), 1)))
    macs = cin * hidden * entering + (hidden * kernel**2 + hidden * cout) * leaving
    params = cin * hidden + hidden * kernel**2 + hidden * cout + 2 * (2 * hidden + cout)
    if "se" in rest:
        pooled = hidden * side**2 + hidden**2
        macs, params = macs + pooled, params + pooled + hidden
    return macs, params


def test_the_counts_of_every_candidate():
    space = build_space("pfld", num_classes=212)
    for site, (ops, entering, channels, stride, side) in zip([s for s in space.sites if s.given], TABLE, strict=True):
        for name, block in zip(ops.split(), site.options, strict=True):
            expected = counted_by_hand(name, entering[0], channels, stride, side)
            assert (block.macs(entering), block.params(entering)) == expected, name


def test_the_published_subnet_has_a_size_of_this_space():
    """NNI: 693 KB in float32. Weights and BN statistics of the smallest and the largest network, and their headers."""
    space = build_space("pfld", num_classes=212)
    sizes = [4 * space.decode(a).params(space.input_shape) / 1024 for a in ((7, 7, 8, 8, 8), (4, 4, 7, 7, 7))]
    assert sizes[0] < 693 < sizes[1]


def test_learned_pooling_is_a_weighted_mean_of_every_place():
    pool = LearnedPool(4).build(2)
    nn.init.constant_(pool.weigh.weight, 1 / 16)
    x = torch.randn(3, 2, 4, 4)
    assert torch.allclose(pool(x)[:, :, 0, 0], x.mean((2, 3)), atol=1e-6)
    twice = x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # a map of another size is brought to the kernel's
    assert torch.allclose(pool(twice), pool(x), atol=1e-6)
    with torch.no_grad():
        pool.weigh.weight.zero_()[1, 0, 2, 3] = 1.0
    assert torch.equal(pool(x)[:, 1, 0, 0], x[:, 1, 2, 3])


def test_spatial_excitation_gates_and_rectifies():
    layer = SpatialExcite(3).build(2)
    x = torch.randn(1, 2, 3, 3)
    nn.init.zeros_(layer.excite.weight)
    nn.init.constant_(layer.excite.bias, 9.0)  # a hard sigmoid of 9 is 1
    assert torch.equal(layer(x), x.relu())
    nn.init.constant_(layer.excite.bias, -9.0)
    assert not layer(x).any()


@pytest.mark.parametrize("stride", [2, 8])
@pytest.mark.parametrize("side", [7, 14, 16, 17, 23, 56, 57])
def test_a_pool_to_another_scale_gives_as_many_places_as_halvings(stride, side):
    expected = side
    for _ in range(stride.bit_length() - 1):
        expected = -(-expected // 2)
    output = StridedPool(stride).build(3)(torch.randn(1, 3, side, side))
    assert output.shape[2:] == (expected, expected) == StridedPool(stride).output_shape((3, side, side))[1:]


def test_pooling_is_nni_s_at_112_pixels():
    """A depthwise convolution 9x9, stride 8, and one 3x3, stride 2, both with padding 1."""
    for stride, side in ((8, 56), (2, 14)):
        layer = StridedPool(stride).build(4)
        x = torch.randn(1, 4, side, side)
        expected = nn.functional.conv2d(x, layer.weigh.weight, stride=stride, padding=1, groups=4)
        assert torch.equal(layer(x), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ghost(7), "odd number"),
        (lambda: StridedPool(1), "at least 2"),
        (lambda: LearnedPool(0), "size must be"),
        (lambda: Separable(8, 4), None),
    ],
)
def test_blocks_refuse_what_they_are_not(make, message):
    with pytest.raises(ValueError, match=message or "only odd"):
        make().params((4, 8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (8, 8)}, "4 numbers"),
        ({"depths": (1, 2, 3)}, "2 numbers"),
        ({"strides": (2, 2)}, "--strides does not apply to pfld: it has --widths, --depths"),
        ({"skip": "conv"}, "--skip does not apply"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(UserError, match=message):
        build_space("pfld", **settings)
