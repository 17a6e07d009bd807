"""ENAS's spaces: their sizes, networks against plain torch, and the behaviour of every space."""

from __future__ import annotations

import random
from math import factorial

import fvcore.nn
import numpy as np
import pytest
import torch

from config_file.errors import UserError
from lookup_tables import build_table
from supernet import Network, SearchSpace, build_space
from supernet.decisions import CONNECTION
from supernet.elimination import Coded, coded_table, combined, count, grouped
from supernet.spaces.cells import CellTable
from supernet.testing import SpaceSuite

SPACES = {"enas_macro": {"widths": (8,), "depths": (6,)}, "enas_micro": {"widths": (4,), "depths": (3,)}}


def test_the_sizes_of_the_paper() -> None:
    """Section 2.3: 6^L * 2^(L (L - 1) / 2), about 1.6 * 10^29. Section 2.4 counts a micro cell's nodes otherwise."""
    macro, micro = build_space("enas_macro"), build_space("enas_micro", depths=(3,))
    assert macro.size == macro.num_canonical == 6**12 * 2**66
    assert f"{macro.size:.1e}" == "1.6e+29"
    # Per cell five nodes, each two times one of 2, 3, ... 6 inputs and one of five operations.
    assert micro.size == micro.num_canonical == (5**5 * factorial(6)) ** 4


@pytest.mark.parametrize("name", SPACES)
def test_counts_of_random_networks_are_fvcore_s(name: str) -> None:
    space = build_space(name, num_classes=10, resolution=16, **SPACES[name])
    tables = {metric: build_table(space, metric) for metric in ("flops", "params")}
    for seed in range(2):
        architecture = space.sample(random.Random(seed))
        network = Network(space.decode(architecture)).eval()
        counted = fvcore.nn.FlopCountAnalysis(network, torch.zeros(1, 3, 16, 16))
        counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by = counted.by_operator()
        assert tables["flops"].cost([architecture])[0] == by["conv"] + by["linear"]
        assert tables["params"].cost([architecture])[0] == sum(p.numel() for p in network.parameters())


def test_a_macro_network_is_what_the_paper_draws() -> None:
    """Written out in plain torch: of its layers, what each adds, and where the resolution falls."""
    space = build_space("enas_macro", num_classes=10, **SPACES["enas_macro"])
    architecture = space.sample(random.Random(3))
    named = dict(zip((d.name for d in space.decisions), space.names(architecture), strict=True))
    network = Network(space.decode(architecture)).double().eval()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    outputs = {"stem": network.layer("stem")(x)}
    last = outputs["stem"]
    for number in range(6):
        if number in (2, 4):
            needed = {
                name
                for name in outputs
                if outputs[name] is last
                or any(named.get(f"layer{later}<-{name}") == "skip" for later in range(number, 6))
            }
            halved = {name: network.layer(f"{name} before layer{number}")(outputs[name]) for name in needed}
            last, outputs = halved[next(name for name in needed if outputs[name] is last)], halved
        total = network.layer(f"layer{number}/op")(last)
        for name, value in outputs.items():
            if named.get(f"layer{number}<-{name}") == "skip":
                total = total + value
        last = outputs[f"layer{number}"] = network.layer(f"layer{number}")(total)
    expected = network.layer("head")(last)
    assert last.shape[2:] == (4, 4)
    torch.testing.assert_close(network(x), expected)


def test_a_micro_cell_ends_in_what_nothing_reads() -> None:
    space = build_space("enas_micro", num_classes=10, **SPACES["enas_micro"])
    for seed in range(10):
        architecture = space.sample(random.Random(seed))
        spec = space.decode(architecture)
        nodes = {node.site: node for node in spec.nodes}
        for cell, kind in (("cell0", "normal"), ("cell1", "reduce")):
            kept = {node: edges for (of, node), edges in space.kept(architecture).items() if of == kind}
            read = {edge.source for edges in kept.values() for edge in edges}
            ends = {site for site in nodes if site.startswith(f"{cell}/out")}
            assert ends == {f"{cell}/out{node}" for node in ("0", "1", *kept) if node not in read}
            assert nodes[cell].inputs == tuple(sorted(ends))
            assert all(len(edges) == 2 for edges in kept.values())


def test_an_output_of_loose_ends_is_a_convolution_of_them_side_by_side() -> None:
    space = build_space("enas_micro", num_classes=10, **SPACES["enas_micro"])
    architecture = next(a for a in map(space.sample, map(random.Random, range(50))) if ends_of(space, a) > 1)
    network = Network(space.decode(architecture)).double().eval()
    cell = next(node for node in network.spec.nodes if node.site == "cell0")
    values = [torch.randn(2, 4, 6, 6, dtype=torch.float64) for _ in cell.inputs]
    weights = [network.layer(site).conv.weight for site in cell.inputs]
    together = torch.nn.functional.conv2d(torch.cat(values, 1).relu(), torch.cat(weights, 1))
    apart = sum(network.layer(site)(value) for site, value in zip(cell.inputs, values, strict=True))
    torch.testing.assert_close(apart, together)


def ends_of(space: SearchSpace, architecture: tuple[int, ...]) -> int:
    cells = [node for node in space.decode(architecture).nodes if node.site == "cell0"]
    return len(cells[0].inputs) if cells[0].inputs[0].startswith("cell0/out") else 0


def test_connections_are_decisions_of_their_own() -> None:
    space = build_space("enas_macro", num_classes=10)
    assert sum(decision.options == CONNECTION for decision in space.decisions) == 66


def test_bad_settings_end_in_one_line() -> None:
    for name in SPACES:
        with pytest.raises(UserError, match=r"--widths is one number"):
            build_space(name, widths=(8, 16))
    with pytest.raises(UserError, match="at most 18 layers"):
        build_space("enas_macro", depths=(40,))


class TestMacro(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("enas_macro", resolution=16, num_classes=10, widths=(4,), depths=(6,))

    @staticmethod
    def make_tiny() -> SearchSpace:
        return build_space("enas_macro", resolution=8, num_classes=10, widths=(4,), depths=(3,))


class TestMicro(SpaceSuite):
    @staticmethod
    def make() -> SearchSpace:
        table = CellTable("three", ("sep_conv_3x3", "avg_pool_3x3", "skip_connect"), nodes=3, **FORM).to_dict()
        return build_space(table, resolution=16, num_classes=10, widths=(4,), depths=(3,), affine=False)

    @staticmethod
    def make_tiny() -> SearchSpace:
        edges = (("a", ("0", "1")), ("b", ("1", "a")))
        table = CellTable("tiny", ("sep_conv_3x3",), edges=edges, **FORM).to_dict()
        return build_space(table, resolution=8, num_classes=10, widths=(4,), depths=(2,))


FORM = {"repeat": True, "none": False, "loose": True}

# ---- factors of few entries


def test_factors_are_combined_as_an_enumeration_says() -> None:
    sizes = (2, 3, 2)
    rng = np.random.default_rng(0)
    scopes = ((0, 1), (1, 2), (2,))
    tables = [rng.integers(0, 3, [sizes[d] for d in scope]).astype(object) for scope in scopes]
    made = combined([coded_table(*pair) for pair in zip(scopes, tables, strict=True)], sum)
    scope, table = made.factor
    assert set(made.entries) == set(table.flat)
    for choice in np.ndindex(*sizes):
        direct = sum(t[tuple(choice[d] for d in s)] for s, t in zip(scopes, tables, strict=True))
        assert table[tuple(choice[d] for d in scope)] == direct


def test_what_changes_nothing_leaves_the_scope() -> None:
    made = coded_table((4, 7), np.array([["a", "b"], ["a", "b"]], dtype=object))
    assert made.scope == (7,)
    assert made.factor[1].tolist() == ["a", "b"]
    alone = coded_table((4,), np.array([3, 3], dtype=object))
    assert isinstance(alone, Coded)
    assert alone.scope == ()
    assert alone.map(float)[1] == 3.0


def test_what_shares_decisions_comes_together_and_counts_the_same() -> None:
    rng = np.random.default_rng(1)
    factors = [(scope, rng.integers(0, 2, (2,) * len(scope))) for scope in ((0,), (3,), (0, 1), (), (3, 4), (1, 2))]
    assert [scope for scope, _ in grouped(factors)] == [(), (0,), (0, 1), (1, 2), (3,), (3, 4)]
    products = [[t[tuple(choice[d] for d in scope)] for scope, t in factors] for choice in np.ndindex(*(2,) * 5)]
    assert count((2,) * 5, factors) == np.prod(products, 1).sum()
