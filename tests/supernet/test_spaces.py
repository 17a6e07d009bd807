"""The shared behaviour of spaces, on narrow and shallow variants of the shipped ones and on spaces of one's own."""

from __future__ import annotations

from dataclasses import replace

import yaml

from supernet import Decision, DecisionSpace, SearchSpace, build_space
from supernet.spaces.chain import ChainTable
from supernet.spaces.fbnet import FBNET_S
from supernet.spaces.nasbench_macro import NASBENCH_MACRO
from supernet.spaces.proxylessnas import PROXYLESSNAS
from supernet.spaces.single_path import SINGLE_PATH
from supernet.spaces.spos import SPOS
from supernet.spaces.stages import Stage
from supernet.testing import DecisionSuite, SpaceSuite
from tests.supernet import own_spaces

SIX_STAGES = {"widths": (8, 8, 8, 16, 16, 24, 24, 32, 40), "depths": (3, 1, 1, 2, 1, 1)}


def tiny(table: ChainTable, *stages: tuple[int, int, int], **changes: object) -> SearchSpace:
    small = replace(table, stem=8, head=16, stages=tuple(Stage(*stage) for stage in stages), **changes)
    return small.build(8, 4, 3)


class TestProxylessNAS(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("proxylessnas", resolution=16, num_classes=10, **SIX_STAGES)

    @staticmethod
    def make_tiny() -> SearchSpace:
        # Stages of equal width at stride 1 are one run of layers: skips in either stage are the same network.
        return tiny(PROXYLESSNAS, (8, 1, 1), (8, 2, 1), first=None, candidates=("k3e3", "k7e6", "skip"))


class TestProxylessNASWithoutSkipsWhereTheShapeChanges(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("proxylessnas", resolution=16, num_classes=10, skip="identity", **SIX_STAGES)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return tiny(PROXYLESSNAS, (16, 2, 2), (24, 1, 2), first=8, skip="identity")


class TestFBNet(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        widths, depths = (8, 8, 8, 16, 16, 24, 24, 32, 40), (1, 2, 1, 2, 1, 1, 1)
        return build_space("fbnet_s", resolution=16, num_classes=10, widths=widths, depths=depths)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return tiny(FBNET_S, (8, 2, 1), (16, 1, 2))


class TestSPOS(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        widths, depths = (8, 16, 24, 32, 48, 32), (2, 1, 2, 2)
        return build_space("spos", resolution=16, num_classes=10, widths=widths, depths=depths)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return tiny(SPOS, (16, 2, 2), (24, 2, 1))


class TestMobileNetV2(SpaceSuite):
    mixes = False  # its widths are chosen

    @staticmethod
    def make() -> SearchSpace:
        widths = (8, 8, 12, 12, 16, 16, 24, 24, 32, 32, 40, 40, 48, 48, 56, 64)
        return build_space("mobilenetv2", resolution=16, num_classes=10, widths=widths, depths=(1, 2, 2, 2, 2, 1, 1))

    @staticmethod
    def make_tiny() -> SearchSpace:
        # Stages 4 and 5, 6 and 7 can have equal widths, and the later ones stride 1: layers of either are the same.
        widths = (8, 8, 16, 16, 24, 24, 32, 32, 40, 40, 48, 48, 56, 56, 64, 16)
        return build_space("mobilenetv2", resolution=8, num_classes=4, widths=widths, depths=(1, 1, 1, 2, 2, 1, 1))


class TestSinglePath(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("single_path", resolution=16, num_classes=10, **SIX_STAGES)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return tiny(SINGLE_PATH, (16, 3, 2), (24, 1, 2), first=8)


class TestSinglePathWithConvolutionsAsSkips(SpaceSuite):
    """A skip of its own weights beside the options that are slices."""

    @staticmethod
    def make() -> SearchSpace:
        return build_space("single_path", resolution=16, num_classes=10, skip="conv", **SIX_STAGES)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return tiny(SINGLE_PATH, (16, 2, 2), (24, 2, 2), first=8, skip="conv")


class TestNASBenchMacro(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("nasbench_macro", num_classes=10, widths=(8, 16, 24, 32, 40), depths=(2, 3, 2))

    @staticmethod
    def make_tiny() -> SearchSpace:
        return tiny(NASBENCH_MACRO, (16, 2, 2), (24, 3, 2))


class TestSpaceFromYAML(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space(yaml.safe_load(own_spaces.YAML_SPACE), resolution=16, num_classes=7, in_channels=1)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return build_space(yaml.safe_load(own_spaces.YAML_SPACE), resolution=16, num_classes=3, depths=(1, 2, 1))


class TestElastic(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space(f"{own_spaces.__name__}:elastic", resolution=16, num_classes=10)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return own_spaces.elastic(widths=(8, 8, 16, 16), kernels=(3, 5), expands=(3, 6), depths=(1, 2, 3))


class TestNASBench201(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("nasbench201", resolution=16, widths=(4, 8, 16), depths=(2, 2, 2), num_classes=10)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return own_spaces.tiny_nasbench201(ops=("none", "skip_connect", "nor_conv_1x1"))


class TestBranches(SpaceSuite):
    mixes = False  # the right branch has two widths

    @staticmethod
    def make() -> SearchSpace:
        return build_space(f"{own_spaces.__name__}:branches", resolution=12, num_classes=5, in_channels=2)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return own_spaces.branches(width=2, cells=1, resolution=8)


class TestResolutionAsADecision(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space(f"{own_spaces.__name__}:zoomed_to", resolution=16, num_classes=5)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return own_spaces.zoomed((6, 8, 9), width=2)


class TestDecisionsAlone(DecisionSuite):
    """A space without sites, such as one that a table of results or a builder of one's own answers for."""

    @staticmethod
    def make() -> DecisionSpace:
        return DecisionSpace("table", tuple(Decision(name, ("x", "y", "z")) for name in "abcde"))

    @staticmethod
    def make_tiny() -> DecisionSpace:
        return DecisionSpace("table", (Decision("a", ("x", "y", "z")), Decision("b", ("u", "v"))))
