"""Numbers to choose among in chains: widths, depths, kernels, expansions and inner channels, in YAML and as shipped."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import pytest
import torch
import yaml
from fvcore.nn import FlopCountAnalysis, parameter_count

from config_file.errors import UserError
from supernet import Network, SearchSpace, Supernet, build_space
from supernet.composites import ShuffleBlock
from supernet.samplers import UniformSampler, WidestFirst
from supernet.sharing.sliced import SlicedChannels
from supernet.spaces.attentivenas import ATTENTIVENAS
from supernet.spaces.chain import ChainTable
from supernet.spaces.spos import SPOS
from supernet.spaces.stages import Stage
from supernet.testing import SpaceSuite
from tests.supernet.test_ofa import Elastic

LISTS = """
name: lists
stem: 8
head: 24
stages:
  - {channels: [8, 16], depth: [1, 2], stride: 1, candidates: [k3e3, k5e3, skip]}
  - {channels: [16, 24], depth: [1, 2, 3], stride: 2, kernel: [3, 5], expand: [1, 3]}
  - {channels: 24, depth: 1, stride: 2, kernel: 3, expand: [2, 2.5], se: true, act: hswish}
"""


def space_of(text: str, **settings: object) -> SearchSpace:
    return build_space(yaml.safe_load(text), resolution=16, num_classes=5, **settings)


class TestListsInYAML(SpaceSuite):
    mixes = False  # its widths are chosen

    @staticmethod
    def make() -> SearchSpace:
        return space_of(LISTS)

    @staticmethod
    def make_tiny() -> SearchSpace:
        stages = (Stage((4, 8), (1, 2), 1, kernel=(3, 5), expand=2), Stage((4, 8), 1, 2, kernel=3, expand=(1, 2)))
        return ChainTable("tiny", stages, (), 4, 8).build(8, 3, 3)


class TestInnerChannelsOfSPOS(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        widths, depths = (8, 16, 24, 32, 48, 32), (2, 1, 1, 2)
        return build_space(
            "spos", resolution=16, num_classes=10, widths=widths, depths=depths, inner_channels="0.4-1.6:0.6"
        )

    @staticmethod
    def make_tiny() -> SearchSpace:
        few = {"candidates": ("shuffle_k3", "xception"), "inner_channels": "0.5,1"}
        return replace(SPOS, stem=8, head=8, stages=(Stage(16, 2, 2), Stage(16, 1, 1)), **few).build(8, 4, 3)


class TestInnerChannelsOfMobileNetV2(SpaceSuite):
    mixes = False

    @staticmethod
    def make() -> SearchSpace:
        widths = (8, 8, 12, 12, 16, 16, 24, 24, 32, 32, 40, 40, 48, 48, 56, 64)
        return build_space(
            "mobilenetv2", resolution=16, num_classes=10, widths=widths, depths=(1, 2, 2, 2, 2, 1, 1),
            inner_channels="0.25,0.5,1",
        )  # fmt: skip

    @staticmethod
    def make_tiny() -> SearchSpace:
        widths = (8, 8, 16, 8, 16, 8, 16, 8, 16, 8, 16, 8, 16, 8, 16, 8)
        ones = {"depths": (1, 2, 1, 1, 1, 1, 1), "strides": (2, 1, 1, 1, 1, 1, 1, 1)}
        space = build_space("mobilenetv2", resolution=8, num_classes=4, widths=widths, inner_channels="0.5,1", **ones)
        first = (*space.sites[:4], replace(space.sites[-1], inputs=("stage2/1",)))
        return SearchSpace("tiny", space.decisions[:6], first, space.input_shape)


class TestAttentiveNAS(Elastic):
    mixes = False

    @staticmethod
    def make() -> SearchSpace:
        # Without dropout, which the suite would have to switch off in a classifier that is sliced.
        table = replace(ATTENTIVENAS, head_dropout=0.0).to_dict()
        settings = {"width_mult": 0.1, "depths": (2, 3, 1, 2, 1, 1, 2), "image_sizes": "8,16"}
        return build_space(table, resolution=16, num_classes=10, **settings)

    @staticmethod
    def make_tiny() -> SearchSpace:
        stages = (
            Stage((8, 16), (1, 2), 1, kernel=(3, 5), expand=1, tied=True),
            Stage((8, 16), (1, 2), 2, se=True, kernel=(3, 5), expand=(2, 3), tied=True),
        )
        return replace(ATTENTIVENAS, stem=(8, 16), features=(8, 16), stages=stages, image_sizes="4,8").build(8, 4, 3)


# ---- sizes


def test_encodings_are_counted_once_per_network_that_can_be_told_apart() -> None:
    """Against a count written down by hand: per stage the widths times the sum over depths."""
    space = space_of(LISTS)
    first = 2 * 3 * 3  # a second layer that is a skip is as good as none
    second = 2 * (4 + 4**2 + 4**3)
    assert space.num_canonical == first * second * 2
    assert space.size == 2 * 2 * 3**2 * 2 * 3 * 4**3 * 2
    assert [d.name for d in space.decisions[:4]] == ["stage1/channels", "stage1/depth", "stage1/0", "stage1/1"]
    assert space.decisions[-1].options == ("2", "2.5")


def test_spos_searches_as_many_channels_as_published() -> None:
    # NNI's channel search: 32 choices of block and inner width in each of 20 layers.
    space = build_space("spos", inner_channels="0.2-1.6:0.2")
    assert space.size == space.num_canonical == space.num_networks == 32**20 == 2**100
    inner = {
        stage: [block.main(width)["enter"].out_channels for block in space.sites[at].options[:8]]
        for stage, at, width in ((64, 2, 64), (160, 6, 160))
    }
    assert inner == {64: [6, 12, 19, 25, 32, 38, 44, 51], 160: [16, 32, 48, 64, 80, 96, 112, 128]}
    whole = space.parse([name for _ in range(20) for name in ("shuffle_k3", "1")])
    assert space.decode(whole) == build_space("spos").decode((0,) * 20)


def test_attentivenas_has_the_size_of_its_table() -> None:
    """Wang et al. 2021, stage by stage: the product of all that can be chosen."""
    widths, depths = 2 * 2 * 2 * 2 * 2 * 3 * 4 * 2 * 2, 2 * 3 * 4 * 4 * 6 * 6 * 2
    space = build_space("attentivenas")
    assert space.size == space.num_canonical == 4 * widths * depths * 2**7 * 3**4 == 440_301_256_704
    assert build_space("attentivenas", resolution=32).size == space.size // 4  # the image size is fixed there


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("spos", {"inner_channels": "0.2-2:0.2"}),
        ("mobilenetv2", {"inner_channels": "0.25,0.5,1"}),
        ("attentivenas", {"image_sizes": "fixed"}),
        (yaml.safe_load(LISTS), {}),
    ],
)
def test_any_network_counts_as_fvcore_counts(name: object, settings: dict) -> None:
    space = build_space(name, resolution=32, num_classes=10, **settings)
    architecture = space.sample(random.Random(3))
    spec = space.decode(architecture)
    network = Network(spec).eval()
    counted = FlopCountAnalysis(network, torch.zeros(1, 3, 32, 32)).unsupported_ops_warnings(False)
    by_operator = counted.by_operator()
    assert by_operator["conv"] + by_operator["linear"] == spec.macs(space.input_shape)
    assert parameter_count(network)[""] == spec.params(space.input_shape)


# ---- sharing


def test_candidates_keep_weights_of_their_own_where_channels_are_slices() -> None:
    options = [ShuffleBlock(16, kernel, mid=mid) for kernel, mid in product((3, 5), (4, None, 12))]
    shared = SlicedChannels(options, [16])
    assert [shared.group[option] for option in range(6)] == [0, 0, 0, 1, 1, 1]
    widest = shared.layers[0].main.enter.conv.weight
    for option, mid in ((0, 4), (1, 8), (2, 12)):
        tensors = shared.tensors(option, 16)
        assert torch.equal(tensors["main.enter.conv.weight"], widest[:mid])
        assert tensors["main.leave.conv.weight"].shape == (8, mid, 1, 1)
    assert not set(map(id, shared.weights(0))) & set(map(id, shared.weights(3)))


def test_elastic_kernels_share_in_a_stage_of_several_widths() -> None:
    space = space_of(LISTS.replace("expand: [1, 3]", "expand: [2, 3]") + "sharing: elastic_kernel\n")
    supernet = Supernet(space)
    assert [name for name, _ in supernet.weights_at("stage2/0").named_parameters() if "maps" in name] == ["maps.5to3"]


# ---- settings


def test_settings_of_lists() -> None:
    space = space_of(LISTS, width_mult=0.25)
    assert space.decisions_fingerprint == space_of(LISTS).decisions_fingerprint  # named by what the table says
    assert {site.options[0].out_channels for site in space.sites if site.name.startswith("stage2")} == {8}
    assert space_of(LISTS, depths=(3, 2, 1)).decisions[1].options == ("1", "2", "3")
    assert space_of(LISTS, image_sizes="8,16").decisions[-1].options == ("8", "16")
    with pytest.raises(UserError, match="--widths does not apply to lists"):
        space_of(LISTS, widths=(8, 8, 8, 8, 8))


STAGE = "channels: [8, 16], depth: [1, 2], stride: 1, kernel: [3, 5], expand: [3, 6]"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (STAGE.replace("[8, 16]", "[]"), "stage 1: channels must be whole numbers of at least 1"),
        (STAGE.replace("[8, 16]", "[16, 8]"), r"stage 1: channels must ascend, each number once, not \[16, 8\]"),
        (STAGE.replace("[8, 16]", "[8, 8]"), "must ascend"),
        (STAGE.replace("[8, 16]", "[8, wide]"), "whole numbers"),
        (STAGE.replace("[8, 16]", str(list(range(1, 40)))), "at most 32 choices"),
        (STAGE.replace("[1, 2]", "[0, 1]"), "stage 1: depth must be whole numbers of at least 1"),
        (STAGE.replace("[1, 2]", "[1, 501]"), "at most 131,072 channels, 500 layers"),
        (STAGE.replace("[3, 5]", "[3, 4]"), "a kernel must be odd"),
        (STAGE.replace("[3, 6]", "[0.5, 6]"), "expand must be numbers of at least 1"),
        (STAGE.replace("[3, 6]", "[3, .nan]"), "expand must be numbers of at least 1"),
        (STAGE.replace("stride: 1", "stride: [1, 2]"), "whole numbers of at least 1"),
        (STAGE + ", layers: 3", "stage 1 does not know 'layers'"),
        (STAGE + ", candidates: [k3e3]", "either candidates, or kernel and expand"),
        (STAGE.replace(", expand: [3, 6]", ""), "kernel and expand go together"),
        ("channels: 8, depth: 1, stride: 1, tied: true", "tied is for kernel and expand"),
        ("channels: [8, 16], depth: 1, stride: 1, candidates: [shuffle_k3]", "shuffle_k3 splits its channels"),
        ("channels: [8, 12], depth: 1, stride: 1, candidates: [k3e3g8]", "do not fall into 8 groups"),
        (STAGE + "}\nsharing: super_kernel\nx: {", "super_kernel"),
        (STAGE + "}\ninner_channels: 0.5,1\nx: {", "inner_channels are for shuffle_kK and xception"),
    ],
)
def test_lists_that_do_not_fit_are_refused_in_one_line(stage: str, message: str) -> None:
    stages, _, more = stage.partition("}\n")
    text = f"name: odd\nstem: 8\nhead: 16\ncandidates: [k3e3]\nstages: [{{{stages}}}]\n{more.partition(chr(10))[0]}\n"
    with pytest.raises(UserError, match=message) as caught:
        build_space(yaml.safe_load(text), resolution=16)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "shares", "message"),
    [
        ("spos", "", "ascending shares"),
        ("spos", "0.2-1.5:0.2", "do not end at 1.5"),
        ("spos", "1,0.5", "ascending shares"),
        ("spos", "0,1", "above 0"),
        ("spos", "0.5,5", "at most 4"),
        ("spos", "0.01,1", "of 32 inner channels is none"),
        ("mobilenetv2", "0.1,1", "of expansion 6 is below 1"),
        ("proxylessnas", "0.5,1", "--inner-channels does not apply to proxylessnas"),
    ],
)
def test_shares_that_are_none_are_refused(space: str, shares: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build_space(space, inner_channels=shares)
    assert "\n" not in str(caught.value)


# ---- blocks first


def test_channels_are_the_widest_until_blocks_are_warmed_up() -> None:
    space = build_space("spos", inner_channels="0.5,1,1.5")
    plain, warmed = UniformSampler(space, 3), WidestFirst(UniformSampler(space, 3), space, steps=10)
    for step in (-1, 10, 11):
        assert warmed.paths(step) == plain.paths(step)
    for step in range(10):
        ((block, channels, *_),), ((same, _, *_),) = warmed.paths(step), plain.paths(step)
        assert (block, channels) == (same, 2)
        assert set(space.names(warmed.paths(step)[0])[1::2]) == {"1.5"}
    with pytest.raises(UserError, match="spos has no choice among channels"):
        WidestFirst(plain, build_space("spos"), 10)
