"""Cells: published counts of DARTS, against a plain torch implementation and by the behaviour of every space."""

from __future__ import annotations

import random
from math import comb, prod

import pytest

from config_file.errors import UserError
from supernet import SearchSpace, build_space
from supernet.auxiliary import auxiliary_head
from supernet.cell_space import CellSpace
from supernet.describe import describe
from supernet.spaces.cells import DARTS_OPERATIONS, CellTable
from supernet.testing import SpaceSuite

DARTS_V2 = {
    "normal": "sep_conv_3x3 0 sep_conv_3x3 1 sep_conv_3x3 0 sep_conv_3x3 1 sep_conv_3x3 1 skip_connect 0 "
    "skip_connect 0 dil_conv_3x3 2",
    "reduce": "max_pool_3x3 0 max_pool_3x3 1 skip_connect 2 max_pool_3x3 1 max_pool_3x3 0 skip_connect 2 "
    "skip_connect 2 max_pool_3x3 1",
}


def darts(**settings) -> CellSpace:
    space = build_space("darts", num_classes=10, **settings)
    assert isinstance(space, CellSpace)
    return space


def chosen(cells: dict[str, str]) -> dict[str, int]:
    """Options at gates, from operations and sources in the order of the paper's genotypes."""
    found = {}
    for kind, text in cells.items():
        words = text.split()
        for place, (name, source) in enumerate(zip(words[::2], words[1::2], strict=True)):
            found[f"{kind}/{place // 2 + 2}<-{source}"] = DARTS_OPERATIONS.index(name)
    return found


@pytest.mark.parametrize(
    ("width", "cells", "params", "macs"), [(36, 20, 3_349_342, 528_359_040), (16, 8, 246_106, 43_444_736)]
)
def test_published_counts(width, cells, params, macs):
    space = darts(widths=(width,), depths=(cells,))
    spec = space.decode(space.keeping(chosen(DARTS_V2)))
    assert (spec.params((3, 32, 32)), spec.macs((3, 32, 32))) == (params, macs)


def test_the_auxiliary_head_of_the_paper():
    space = darts(widths=(36,), depths=(20,))
    described = describe(space, space.keeping(chosen(DARTS_V2)))
    assert described["auxiliary"]["site"] == "cell13"
    assert described["auxiliary"]["params"] == 476_426
    head = auxiliary_head(10, 32)
    assert sum(p.numel() for p in head.build(4 * 144).parameters()) == 476_426


def test_the_size_of_the_paper():
    """Section 3.1: the product over nodes of (k + 1) k / 2 pairs of inputs times 7^2, about 10^9; two cells."""
    space = darts()
    one = prod(comb(inputs, 2) * 7**2 for inputs in (2, 3, 4, 5))
    assert one == 1_037_664_180
    assert space.size == space.num_canonical == one**2
    assert not space.conditional


def test_none_is_mixed_and_never_chosen():
    space = darts()
    for site in space.sites:
        if site.given:
            assert [option.label for option in site.options][-1] == "none"
            assert len(site.options) == 8
            assert 7 not in site.table


def test_keeping_is_the_inverse_of_select():
    space = darts()
    for seed in range(20):
        architecture = space.sample(random.Random(seed))
        selected = {gate: option for gate, option in space.select(architecture).items() if "<-" in gate}
        there = {gate: option for gate, option in selected.items() if option is not None}
        assert len(there) == 16
        assert space.keeping(there) == architecture
    with pytest.raises(ValueError, match="kept 2 at a time"):
        space.keeping({"normal/2<-0": 3})


def test_batch_norms_learn_nothing_in_a_supernet_s_cells():
    alone, shared = darts(), darts(affine=False)
    assert shared.decisions_fingerprint == alone.decisions_fingerprint
    assert shared.macro_fingerprint != alone.macro_fingerprint
    architecture = alone.keeping(chosen(DARTS_V2))
    assert shared.decode(architecture).macs((3, 32, 32)) == alone.decode(architecture).macs((3, 32, 32))
    assert shared.decode(architecture).params((3, 32, 32)) < alone.decode(architecture).params((3, 32, 32))


class TestDARTS(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        two_nodes = CellTable("two", DARTS_OPERATIONS, nodes=2).to_dict()  # four take three times as long
        return build_space(two_nodes, resolution=16, num_classes=10, widths=(4,), depths=(3,), affine=False)

    @staticmethod
    def make_tiny() -> SearchSpace:
        table = CellTable(
            "tiny", ("skip_connect", "sep_conv_3x3"), edges=(("b", ("1", "a")), ("a", ("0", "1"))), keep=1
        )
        return build_space(table.to_dict(), resolution=8, num_classes=10, widths=(4,), depths=(2,))


def test_one_number_of_channels_and_of_cells():
    with pytest.raises(UserError, match="--widths is one number, of channels of the first cells, not 2"):
        darts(widths=(16, 32))


OWN = """
name: mine
operations: [skip_connect, sep_conv_3x3, none]
edges:
  b: [1, a]
  a: [0, 1]
  c: [0, a, b]
keep: 2
concat: [b, c]
width: 4
cells: 3
"""


def own(tmp_path, text: str) -> CellSpace:
    (tmp_path / "mine.yml").write_text(text)
    space = build_space(str(tmp_path / "mine.yml"), num_classes=10, resolution=16)
    assert isinstance(space, CellSpace)
    return space


def test_a_cell_space_of_ones_own_in_a_file(tmp_path):
    space = own(tmp_path, OWN)
    # Two nodes keep both of two inputs, the third two of three: 3 pairs; and three operations on each.
    assert space.size == (9 * 9 * 3 * 9) ** 2
    assert build_space(**space.describe()).macro_fingerprint == space.macro_fingerprint
    architecture = space.sample(random.Random(1))
    spec = space.decode(architecture)
    shapes = spec.shapes((3, 16, 16))
    assert shapes["cell0"][1] == (8, 16, 16)  # two nodes of four channels
    assert shapes["cell2"][1] == (32, 4, 4)
    assert all(edge.source in "01ab" for edges in space.kept(architecture).values() for edge in edges)


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("a: [0, 1]", "a: [0, b]", "the edges go in a circle: (a -> b -> a|b -> a -> b)"),
        ("a: [0, 1]", "a: [0, bb]", "node a reads 'bb', which is no node"),
        ("a: [0, 1]", "a: [0, 0]", "reads different inputs"),
        ("sep_conv_3x3", "sep_conf_3x3", "unknown operation 'sep_conf_3x3'; did you mean 'sep_conv_3x3'"),
        ("concat: [b, c]", "concat: [b, d]", "d"),
        ("keep: 2", "keeps: 2", "unknown key 'keeps'; did you mean 'keep'"),
        ("keep: 2", "keep: two", "keep must be an integer"),
        ("keep: 2", "keep: -1", "keep must be at least 0 and at most 12, not -1"),
        ("keep: 2", "nodes: 12\nkeep: 7", "combinations, more than 100,000: keep fewer, or all"),
        ("cells: 3", "cells: 0", "cells"),
        ("width: 4", "width: 99999999", "width"),
        ("operations: [skip_connect, sep_conv_3x3, none]", "operations: []", "operations"),
    ],
)
def test_a_file_that_is_no_cell_space_is_refused_in_one_line(written, instead, message, tmp_path):
    assert written in OWN
    text = OWN.replace(written, instead)
    if "nodes: 12" in text:
        text = (
            text.replace("edges:", "").replace("  b: [1, a]\n  a: [0, 1]\n  c: [0, a, b]\n", "").replace("[b, c]", "[]")
        )
    with pytest.raises(UserError, match=message) as caught:
        own(tmp_path, text)
    assert "\n" not in str(caught.value)
