"""NAS-Bench-101: published counts, the authors' rules for channels and merges, and what counts as one cell."""

from __future__ import annotations

import random
from collections.abc import Sequence

import networkx as nx
import numpy as np
import pytest
import torch

from config_file.errors import UserError
from lookup_tables.limits import Limit, Limits
from lookup_tables.network_costs import network_costs
from supernet import Network, build_network_space, build_space
from supernet.decisions import Architecture
from supernet.metrics import METRICS
from supernet.spaces.nasbench101 import EDGES, NASBench101, nasbench101
from supernet.testing.decision_suite import DecisionSuite

INCEPTION = ("0111010", "0000001", "0000001", "0000100", "0000001", "0000001", "0000000"), (1, 0, 0, 0, 2)
"""The cell of the benchmark's introduction: 1x1, 3x3, two 3x3 in the place of a 5x5, max pool."""

AS_IN_THE_FILE = ("0111100", "0000001", "0000001", "0000001", "0000010", "0000001", "0000000"), (0, 1, 2, 0, 0)
"""The same cell as the benchmark's file has it."""

LARGEST = ("0111100", "0010000", "0001000", "0000100", "0000010", "0000001", "0000000"), (0, 0, 0, 0, 0)
SMALLEST = ("0100000", "0011110", "0000001", "0000001", "0000001", "0000001", "0000000"), (2, 2, 2, 2, 2)


def of(rows: Sequence[str], ops: Sequence[int]) -> Architecture:
    return *(int(rows[source][target]) for source, target in EDGES), *ops


@pytest.fixture(scope="module")
def small() -> NASBench101:
    return nasbench101(resolution=8, widths=(7, 14), depths=(1, 2))


@pytest.mark.parametrize(
    ("cell", "params"), [(INCEPTION, 2_694_282), (AS_IN_THE_FILE, 2_694_282), (LARGEST, 49_979_274)]
)
def test_published_parameters(cell, params):
    """The benchmark's `trainable_parameters` of its example, and the most that any of its networks has."""
    space = nasbench101()
    assert space.decode(of(*cell)).params(space.input_shape) == params


def test_isomorphic_cells_are_one_network():
    space = nasbench101()
    assert space.network_key(of(*INCEPTION)) == space.network_key(of(*AS_IN_THE_FILE))
    assert space.network_key(of(*INCEPTION)) != space.network_key(of(*LARGEST))


def official_outputs(space: NASBench101, architecture: Architecture, network: Network, x: torch.Tensor) -> torch.Tensor:
    """The authors' `build_module`, on tensors, with the layers of a network that was built by the code under test."""
    matrix = np.zeros((7, 7), dtype=int)
    for (source, target), there in zip(EDGES, architecture, strict=False):
        matrix[source, target] = there
    paths = sum(np.linalg.matrix_power(matrix, length) for length in range(7))
    kept = [vertex for vertex in range(7) if paths[0, vertex] and paths[vertex, 6]]
    matrix = matrix[np.ix_(kept, kept)]
    last = len(kept) - 1
    x = network.layer("stem")(x)
    for stack, (width, cells) in enumerate(zip(space.widths, space.depths, strict=True)):
        if stack:
            x = torch.nn.functional.max_pool2d(x, 2)
        for cell in range(cells):
            name = f"cell{stack}{cell}"
            shares = matrix[1:, last].sum()
            correction = width % max(shares, 1)
            channels = [0] * last
            for vertex in range(1, last):
                if matrix[vertex, last]:
                    channels[vertex] = width // shares + (correction > 0)
                    correction -= correction > 0
            for vertex in range(last - 2, 0, -1):
                if not matrix[vertex, last]:
                    channels[vertex] = max(
                        channels[after] for after in range(vertex + 1, last) if matrix[vertex, after]
                    )
            tensors = [x]
            for vertex in range(1, last):
                add = [tensors[source][:, : channels[vertex]] for source in range(1, vertex) if matrix[source, vertex]]
                if matrix[0, vertex]:
                    add.append(network.layer(f"{name}/0to{vertex}")(x))
                assert all(tensor.shape[1] == channels[vertex] for tensor in add)
                tensors.append(network.layer(f"{name}/{vertex}")(sum(add)))
                assert tensors[-1].shape[1] == channels[vertex]
            joined = [tensors[vertex] for vertex in range(1, last) if matrix[vertex, last]]
            outputs = torch.cat(joined, 1) if joined else 0
            if matrix[0, last]:
                outputs = outputs + network.layer(f"{name}/0to{last}")(x)
            x = outputs
    return network.layer("head")(x)


@pytest.mark.parametrize("seed", range(12))
def test_networks_are_the_authors(small, seed):
    architecture = small.sample(random.Random(seed))
    torch.manual_seed(seed)
    network = Network(small.decode(architecture)).eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x), official_outputs(small, architecture, network, x))
    counted = sum(parameter.numel() for parameter in network.parameters())
    assert small.decode(architecture).params(small.input_shape) == counted


def test_channels_that_do_not_divide_go_to_the_first_vertices(small):
    shapes = small.decode(of(*INCEPTION)).shapes(small.input_shape)
    assert [shapes[f"cell00/{vertex}"][1][0] for vertex in (1, 2, 3, 4, 5)] == [2, 2, 2, 2, 1]
    fan = of(("0100000", "0011100", *["0000001"] * 3, *["0000000"] * 2), (0,) * 5)
    shapes = small.decode(fan).shapes(small.input_shape)
    assert [shapes[f"cell00/{vertex}"][1][0] for vertex in (1, 2, 3, 4)] == [3, 3, 2, 2]  # the widest it leads to
    assert shapes["cell00/1to3"] == ((3, 8, 8), (2, 8, 8))


def test_what_is_not_a_cell_is_refused():
    space = nasbench101()
    nowhere = of(["0100000"] + ["0000000"] * 6, (0,) * 5)
    too_many = of(["0111110", *["0000001"] * 5, "0000000"], (0,) * 5)
    dangling = of(["0110000", "0000001", "0001110", "0000110", "0000010", "0000000", "0000000"], (2,) * 5)
    assert not space.allows(nowhere)
    assert sum(too_many[:21]) == 10
    assert not space.allows(too_many)
    assert space.allows(dangling)  # all but two of its edges lead nowhere
    assert space.canonical(dangling) == of(["0100000", "0000001", *["0000000"] * 5], (2, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="is not an architecture of nasbench101"):
        space.decode(nowhere)
    with pytest.raises(UserError, match="nasbench101 does not allow the architecture"):
        space.parse(too_many)
    with pytest.raises(UserError, match="no supernet and no lookup table"):
        build_space("nasbench101")
    with pytest.raises(UserError, match="5 vertices share the channels of a cell, not 4"):
        build_network_space("nasbench101", widths=(4, 8, 16))
    with pytest.raises(UserError, match="not 1 widths and 3 depths"):
        build_network_space("nasbench101", widths=(8,), depths=(1, 1, 1))
    with pytest.raises(UserError, match="parameters, more than"):
        build_network_space("nasbench101", widths=(16384,), depths=(100,))


@pytest.mark.parametrize("change", [{"widths": (8, 20)}, {"depths": (1, 2)}, {"num_classes": 9}, {"in_channels": 1}])
def test_weights_are_of_one_space(change):
    settings = {"widths": (8, 16), "depths": (1, 1), "num_classes": 10, "in_channels": 3}
    space, other = (build_network_space("nasbench101", **settings | changed) for changed in ({}, change))
    assert space.decisions_fingerprint == other.decisions_fingerprint
    assert space.macro_fingerprint != other.macro_fingerprint
    assert space.macro_fingerprint == build_network_space("nasbench101", resolution=64, **settings).macro_fingerprint


@pytest.mark.parametrize("seed", range(10))
def test_a_decision_matters_where_another_option_is_another_cell(seed):
    space, rng = nasbench101(), random.Random(seed)
    architecture = tuple(rng.randrange(size) for size in space.sizes)
    assert space.cell(space.canonical(architecture)) == space.cell(architecture)
    for decision, size in enumerate(space.sizes):
        others = [(*architecture[:decision], option, *architecture[decision + 1 :]) for option in range(size)]
        changes = len({str(space.cell(other)) for other in others}) > 1
        assert space.matters(architecture, decision) == changes


class TestSpace(DecisionSuite):
    @staticmethod
    def make() -> NASBench101:
        return nasbench101()

    @staticmethod
    def make_tiny() -> NASBench101:
        return nasbench101(vertices=4, most_edges=4)


@pytest.mark.parametrize(("vertices", "unique"), [(2, 1), (3, 7), (4, 91)])
def test_numbers_of_cells(vertices, unique):
    """Isomorphic cells are counted once: against networkx, which knows nothing of the hash."""
    space = nasbench101(vertices=vertices)
    canonical = sorted({space.canonical(architecture) for architecture in space.enumerate()})
    assert len({space.network_key(architecture) for architecture in canonical}) == unique
    distinct: list[nx.DiGraph] = []
    for architecture in canonical:
        matrix, labels = space.cell(architecture)
        graph = nx.from_numpy_array(np.array(matrix), create_using=nx.DiGraph)
        nx.set_node_attributes(graph, dict(enumerate(labels)), "op")
        alike = nx.isomorphism.categorical_node_match("op", None)
        if not any(nx.is_isomorphic(graph, other, node_match=alike) for other in distinct):
            distinct.append(graph)
    assert len(distinct) == unique


@pytest.mark.parametrize("metric", ["flops", "params"])
@pytest.mark.parametrize("widths", [(128, 256, 512), (7, 14, 28)])
def test_the_cheapest_and_the_dearest_network(widths, metric):
    """Against every cell of four vertices; of seven, the most parameters of any published network."""
    space = nasbench101(widths=widths, vertices=4, most_edges=5)
    table = network_costs(space, METRICS[metric], 32)
    costs = table.cost(list({space.canonical(architecture) for architecture in space.enumerate()}))
    assert (table.minimum()[0], table.maximum()[0]) == (costs.min(), costs.max())
    published = nasbench101()
    assert published.decode(published.ends()[1]).params((3, 32, 32)) == 49_979_274


def test_limits_are_kept_by_drawing():
    space = nasbench101(widths=(8, 16, 32), depths=(1, 1, 1))
    table = network_costs(space, METRICS["params"], 32)
    rng = random.Random(0)
    drawn = [space.sample(rng) for _ in range(300)]
    low, high = np.quantile(table.cost(drawn), [0.2, 0.4])
    limits = Limits(space, [Limit(table, low, high)])
    limits.check()
    assert limits.acceptance == pytest.approx(0.2, abs=0.06)
    found = limits.sample_distinct(random.Random(1), 20)
    assert len(set(found)) == 20
    costs = [space.decode(architecture).params((3, 32, 32)) for architecture in found]
    assert low <= min(costs) <= max(costs) <= high
    assert table.cost(found).tolist() == costs
    least = space.decode(space.ends()[0]).params((3, 32, 32))
    with pytest.raises(UserError, match=f"no architecture has params of {least - 1:,}"):
        Limits(space, [Limit(table, upper=least - 1)]).check()
    with pytest.raises(UserError, match="known network by network only"):
        limits.bounds()
