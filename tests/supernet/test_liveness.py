"""Live costs: against a graph of networkx, published figures, and plain FLOPs where nothing can be dead."""

from __future__ import annotations

import random

import networkx as nx
import numpy as np
import pytest
from scipy.stats import kendalltau

from supernet import SearchSpace, build_network_space, build_space
from supernet.blocks import Block, Shape, Zero
from supernet.liveness import layers, live_costs, live_total
from supernet.metrics import FLOPS, PARAMS
from supernet.spaces.nasbench201 import nasbench201
from tests.supernet.own_spaces import branches, elastic, small_nasbench201, tiny_nasbench201


def by_graph(space: SearchSpace, architecture: tuple[int, ...]) -> float:
    """What descends from the image and leads to the output, or is fixed, by networkx."""
    selected = space.select(architecture)
    graph = nx.DiGraph()
    graph.add_nodes_from(["input", *(site.name for site in space.sites)])
    for site in space.sites:
        option = selected[site.gate_name]
        if option is not None and not isinstance(site.options[option], Zero):
            graph.add_edges_from((name, site.name) for name in site.inputs)
    output = space.sites[-1].name
    alive = nx.descendants(graph, "input") & (nx.ancestors(graph, output) | {output})
    shapes = space.decode(architecture).shapes(space.input_shape)
    fixed = {site.name for site in space.sites if not site.given}
    return sum(
        FLOPS.of(site.options[option], shapes[site.name][0])
        for site in space.sites
        if (option := selected[site.gate_name]) is not None and site.name in (alive | fixed) and site.name in shapes
    )


@pytest.mark.parametrize("space", [small_nasbench201(resolution=8), branches()], ids=lambda s: s.name)
def test_a_live_block_lies_on_a_path_from_the_image_to_the_output(space: SearchSpace) -> None:
    rng = random.Random(0)
    some = [space.sample(rng) for _ in range(60)]
    expected = [by_graph(space, architecture) for architecture in some]
    assert live_costs(space, some, FLOPS.of).tolist() == expected
    everything = [space.decode(architecture).macs(space.input_shape) for architecture in some]
    assert all(live <= whole for live, whole in zip(expected, everything, strict=True))


@pytest.mark.parametrize("name", ["nasbench_macro", "mobilenetv2", "single_path", "elastic"])
def test_in_a_chain_everything_is_live(name: str) -> None:
    space = elastic() if name == "elastic" else build_space(name, resolution=32, num_classes=10)
    rng = random.Random(0)
    some = [space.sample(rng) for _ in range(30)]
    specs = [space.decode(architecture) for architecture in some]
    assert live_costs(space, some, FLOPS.of).tolist() == [spec.macs(space.input_shape) for spec in specs]
    assert live_costs(space, some, PARAMS.of).tolist() == [spec.params(space.input_shape) for spec in specs]


def test_layers_leave_out_skips_though_a_projection_stands_there() -> None:
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    some = [(0,) * 8, (1,) * 8, (0, 1, 2, 0, 0, 0, 0, 2)]
    assert layers(space, some).tolist() == [0, 8, 3]
    assert layers(elastic(depths=(2, 3)), [(0,) * 14, (1, *(0,) * 6, 1, *(0,) * 6)]).tolist() == [4, 6]


def test_costs_of_another_count_and_size_of_image() -> None:
    space = tiny_nasbench201()

    def blocks(block: Block, shape: Shape) -> float:
        return 1.0

    # A 3x3 convolution on the only path, and one that nothing reads: 3 cells, 6 nodes and edges fixed or live each.
    straight, dead = (0, 0, 0, 3, 0, 0), (3, 0, 0, 3, 0, 0)
    assert live_costs(space, [straight], blocks)[0] == live_costs(space, [dead], blocks)[0]
    ratio = live_costs(space, [straight], FLOPS.of, (3, 16, 16))[0] / live_costs(space, [straight], FLOPS.of)[0]
    assert ratio == pytest.approx(4, rel=1e-2)


def test_live_flops_of_the_published_tables(shared_data) -> None:
    """0.654, 0.628 and 0.608 where all FLOPs have 0.578, 0.553 and 0.520; 0.693 by layers of NAS-Bench-Macro."""
    with np.load(shared_data / "nb201.npz", allow_pickle=False) as table:
        architectures, truth = table["arch"], table["test_acc_200"]
    space = nasbench201()
    live, number = live_costs(space, architectures, FLOPS.of), layers(space, architectures)
    taus = [kendalltau(live, truth[:, column]).statistic for column in range(3)]
    assert taus == pytest.approx([0.654, 0.628, 0.608], abs=6e-4)
    assert kendalltau(number, truth[:, 0]).statistic == pytest.approx(0.611, abs=6e-4)
    with np.load(shared_data / "nasbench_macro_cifar10.npz", allow_pickle=False) as table:
        number = layers(build_space("nasbench_macro", resolution=32, num_classes=10), table["arch"])
        assert kendalltau(number, table["mean_acc"]).statistic == pytest.approx(0.693, abs=6e-4)


def test_the_live_cost_of_one_network() -> None:
    """As of many of a space, where a path leads to the output at all; the space counts what no decision chose then."""
    space = nasbench201(widths=(4, 8), depths=(1, 2), resolution=8)
    some = random.Random(0).sample(list(space.enumerate()), 300)
    fixed = live_costs(space, [(0,) * 6], FLOPS.of)[0]
    cut = 0
    for architecture, cost in zip(some, live_costs(space, some, FLOPS.of), strict=True):
        found = live_total(space.decode(architecture), FLOPS.of, space.input_shape)
        if found:
            assert found == cost
        else:
            assert cost == fixed
            cut += 1
    assert 0 < cut < 150
    joined = build_network_space("nasbench101", resolution=8, widths=(8,), depths=(1,), num_classes=10)
    spec = joined.decode(joined.sample(random.Random(0)))
    assert live_total(spec, FLOPS.of, (3, 8, 8)) == spec.macs((3, 8, 8))  # a pruned cell has nothing dead
