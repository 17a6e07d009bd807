"""NAS-Bench-201 from sites alone: its published counts, and which of its cells are the same network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import networkx as nx
import numpy as np
import pytest
import torch

from config_file.errors import UserError
from lookup_tables import build_table
from supernet import NetSpec, SearchSpace, Supernet, build_space, extract
from supernet.blocks import Conv, Identity, Zero
from supernet.spaces.nasbench201 import NASBENCH201_EDGES, NASBENCH201_OPS, nasbench201
from supernet.testing.weights import randomised
from tests.supernet.own_spaces import tiny_nasbench201

CLASSES = {"cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}


def test_it_has_the_published_size():
    space = nasbench201()
    assert space.size == space.num_canonical == 5**6 == 15_625
    assert space.num_networks is None


@pytest.mark.parametrize(
    ("architecture", "macs", "params"),
    [
        # "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|" is 0.073306 M, all 3x3 is 1.531546 M parameters.
        ((0,) * 6, 7_783_040, 73_306),
        ((3,) * 6, 220_119_680, 1_531_546),
    ],
)
def test_published_corners(architecture, macs, params):
    spec = nasbench201().decode(architecture)
    assert (spec.macs((3, 32, 32)), spec.params((3, 32, 32))) == (macs, params)


def test_rows_of_the_benchmark(shared_data):
    table = np.load(shared_data / "nb201.npz", allow_pickle=False)
    assert tuple(table["ops"]) == NASBENCH201_OPS
    assert tuple(table["edge_order"]) == tuple(f"{target}<-{source}" for source, target in NASBENCH201_EDGES)
    for column, name in enumerate(table["datasets"]):
        classes, resolution = CLASSES[str(name)]
        space = build_space("nasbench201", num_classes=classes, resolution=resolution)
        assert {*map(tuple, table["arch"].tolist())} == {*space.enumerate()}
        for row in np.linspace(0, 15_624, 5).astype(int):
            spec = space.decode(tuple(table["arch"][row].tolist()))
            counted = [build_table(space, metric).cost(table["arch"][[row]])[0] for metric in ("params", "flops")]
            assert counted == [spec.params(space.input_shape), spec.macs(space.input_shape)]
        params, macs = (build_table(space, metric).cost(table["arch"]) for metric in ("params", "flops"))
        np.testing.assert_allclose(params / 1e6, table["params_m"][:, column], rtol=0, atol=1e-6)
        # stored as float32 of five decimals
        np.testing.assert_allclose(macs / 1e6, table["flops_m_convonly_unverified"][:, column], rtol=0, atol=2e-5)


def unique_text(architecture: tuple[int, ...], without_zeros: bool) -> str:
    """The text that the paper tells cells apart by, skips contracted and, if asked for, zeros dropped."""
    nodes, options = ["0"], iter(architecture)
    for target in (1, 2, 3):
        reads = []
        for source in range(target):
            op = NASBENCH201_OPS[next(options)]
            if without_zeros and (op == "none" or nodes[source] == "#"):
                reads.append("#")
            else:
                reads.append(nodes[source] if op == "skip_connect" else f"({nodes[source]})@{op}")
        nodes.append("+".join(sorted(reads)))
    return nodes[3]


def test_published_numbers_of_distinct_cells():
    """15,625 encodings; 12,751 cells once skips are contracted, and 6,466 once zeros are dropped too (section 3)."""
    encodings = list(nasbench201().enumerate())
    assert len(encodings) == 15_625
    assert len({unique_text(architecture, False) for architecture in encodings}) == 12_751
    assert len({unique_text(architecture, True) for architecture in encodings}) == 6_466


def test_widths_and_depths():
    wide = build_space("nasbench201", num_classes=10, widths=(8, 16), depths=(1, 2))
    assert wide.decisions_fingerprint == nasbench201().decisions_fingerprint
    shapes = wide.decode((3,) * 6).shapes((3, 32, 32))
    assert shapes["cell11/3"][1] == (16, 16, 16)
    assert "cell01/3" not in shapes
    with pytest.raises(UserError, match="one width and one depth per stage, not 2 widths and 3 depths"):
        build_space("nasbench201", widths=(8, 16), depths=(1, 1, 1))


def test_its_supernet_holds_the_networks():
    space = tiny_nasbench201()
    with torch.device("meta"):
        network = extract(Supernet(space), (3, 1, 0, 4, 2, 3))
    assert network(torch.empty(2, 3, 8, 8, device="meta")).shape == (2, 10)


def as_graph(spec: NetSpec) -> nx.MultiDiGraph:
    """The network without zeros and identities (a sum of sums is a sum), built without the code under test."""
    graph = nx.MultiDiGraph()
    graph.add_node("image", block="image")
    reads: dict[str, list[str]] = {"input": ["image"]}
    for node in spec.nodes:
        inputs = [name for read in node.inputs for name in reads[read]]
        if isinstance(node.block, Zero):
            reads[node.site] = []
        elif isinstance(node.block, Identity):
            reads[node.site] = inputs
        else:
            graph.add_node(node.site, block=repr(node.block))
            graph.add_edges_from((name, node.site) for name in inputs)
            reads[node.site] = [node.site]
    output = spec.nodes[-1].site
    return graph.subgraph({output} | nx.ancestors(graph, output))


def test_equal_keys_are_isomorphic_networks():
    """All 729 cells of three operations: against networkx, which knows nothing of our keys."""
    space = one_cell(("none", "skip_connect", "nor_conv_1x1"))
    groups: dict[Hashable, list[tuple[int, ...]]] = defaultdict(list)
    for architecture in space.enumerate():
        groups[space.network_key(architecture)].append(architecture)

    def same(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        graphs = [as_graph(space.decode(a)) for a in (one, other)]
        return nx.is_isomorphic(
            *graphs,
            node_match=lambda a, b: a["block"] == b["block"],
            edge_match=nx.isomorphism.numerical_multiedge_match("weight", 1),
        )

    for members in groups.values():
        assert all(same(members[0], other) for other in members[1:3])
    representatives: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for members in groups.values():
        graph = nx.Graph(as_graph(space.decode(members[0])))
        representatives[nx.weisfeiler_lehman_graph_hash(graph, node_attr="block")].append(members[0])
    for alike in representatives.values():
        for index, one in enumerate(alike):
            assert not any(same(one, other) for other in alike[index + 1 :])


def one_cell(ops: tuple[str, ...]) -> SearchSpace:
    return tiny_nasbench201(ops=ops)


def test_a_cell_without_a_way_through_is_one_network():
    space = one_cell(NASBENCH201_OPS)
    cut = [(0, 0, 3, 0, 2, 4), (0, 0, 1, 0, 3, 3), (3, 3, 3, 0, 0, 0)]
    keys = {space.network_key(architecture) for architecture in cut}
    # What reads nothing but zeros still adds the learned shift of its batch norm: only the last cell is empty.
    assert len(keys) == 3
    pooled = [(0, 0, 1, 0, 1, 4), (0, 0, 0, 0, 4, 4), (3, 2, 3, 0, 0, 0), (4, 4, 4, 0, 0, 0)]
    assert len({space.network_key(architecture) for architecture in pooled}) == 1


def test_dead_operations_are_not_run_and_change_nothing():
    """What nothing but `none` reads: its weights get no gradient, and the output is that of the whole network."""
    supernet = randomised(Supernet(tiny_nasbench201(affine=False))).double().eval()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    # 1<-0 2<-0 2<-1 3<-0 3<-1 3<-2: nothing reads node 2, and so not its convolutions.
    architecture = (3, 3, 2, 1, 3, 0)
    run = {
        name
        for name, parameter in supernet.named_parameters()
        if id(parameter) in map(id, supernet.parameters_of(architecture))
    }
    assert any("/1<-0" in name for name in run)
    assert not any("/2<-" in name for name in run)
    with torch.no_grad():
        whole = extract(supernet, architecture)
        assert any("/2<-" in node.site and isinstance(node.block, Conv) for node in whole.spec.nodes)
        assert torch.allclose(whole(x), supernet(x, architecture), rtol=1e-12, atol=0)


def test_the_first_of_equal_cells():
    space = nasbench201()
    firsts = {space.first_equal(cell) for cell in space.enumerate()}
    assert all(space.first_equal(cell) == cell for cell in firsts)
    swapped = ((3, 2, 0, 1, 2, 4), (2, 3, 0, 1, 4, 2))  # nodes 1 and 2 change places
    assert len({space.first_equal(cell) for cell in swapped}) == 1
    for cell in [(3, 3, 2, 1, 3, 0), (0, 0, 1, 0, 1, 4), *swapped]:
        assert space.network_key(space.first_equal(cell)) == space.network_key(cell)
